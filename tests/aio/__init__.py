"""The layer for asyncio."""

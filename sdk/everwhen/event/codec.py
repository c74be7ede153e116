"""The codec: bytes of a record's value, to and from an event.

Three frames are read, whatever is written:

- Avro's single-object encoding (specification 1.12, section of that name): ``C3 01``, the CRC-64-AVRO fingerprint of
  the writer's schema in 8 bytes, least significant first, then the datum. Written where no registry knows the schema.
- Confluent's wire format: ``00``, the schema's id in 4 bytes, most significant first, then the datum.
- Confluent's header form: the header ``__value_schema_id`` holds ``00`` and a 4-byte id, or ``01`` and a 16-byte GUID;
  the value is the bare datum.

fastavro writes; :mod:`everwhen.event.datum` reads, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Protocol, TypeAlias
from uuid import UUID

from fastavro import schemaless_writer
from pydantic import ValidationError

from everwhen.errors import ArgumentError, ContractError, InstantError, MalformedRecord, RecordError, UnknownSchema
from everwhen.event import compatibility, datum, source
from everwhen.event.avro import Schema
from everwhen.event.contracts import Contract, Contracts, Match, Version
from everwhen.event.headers import Headers
from everwhen.event.model import Event, event_shape
from everwhen.event.primitives import Deviation
from everwhen.event.upcasting import upcasting
from everwhen.event.values import reading, writing
from everwhen.event.versions import means_the_same

SchemaRef: TypeAlias = int | UUID
"""How a schema registry names a schema: by its id, or by its GUID."""

SCHEMA_ID_HEADER = "__value_schema_id"

_SINGLE_OBJECT = b"\xc3\x01"
_OWN_FRAME = 10
"""How many bytes stand in front of a datum that needs no registry."""
_CONFLUENT = b"\x00"
_CONFLUENT_GUID = b"\x01"

_Write: TypeAlias = Callable[[Event], bytes]
_Read: TypeAlias = Callable[[bytes, int], Event]


class SchemaIds(Protocol):
    """A schema registry, as far as a codec needs one. Implementations can be called from several threads."""

    def id_for(self, schema: Schema) -> int | None:
        """Return the registry's id of a schema; ``None`` if it does not know it."""
        ...

    def schema_for(self, ref: SchemaRef) -> Schema | None:
        """Return the schema of an id or GUID; ``None`` if the registry does not know it."""
        ...


class ConstantIds:
    """A registry that is a constant mapping, for a fixed set of schemas and for tests. Immutable."""

    def __init__(self, schemas: Mapping[SchemaRef, Schema]) -> None:
        self._schemas = dict(schemas)

    def id_for(self, schema: Schema) -> int | None:
        """Return the id of a schema; ``None`` if it has none."""
        return next((ref for ref, known in self._schemas.items() if known == schema and isinstance(ref, int)), None)

    def schema_for(self, ref: SchemaRef) -> Schema | None:
        """Return the schema of an id or GUID; ``None`` if there is none."""
        return self._schemas.get(ref)


class Codec:
    """Encodes and decodes the events of one topic. Threads can share it.

    :param contracts: the topic's contracts.
    :param ids: a schema registry. With one, events whose newest schema it knows are written in Confluent's frame.
    :param in_header: write the header form of the id: the value is the bare datum, :meth:`schema_header` has the id.
    """

    def __init__(self, contracts: Contracts, ids: SchemaIds | None = None, *, in_header: bool = False) -> None:
        self._contracts = contracts
        self._ids = ids
        self.in_header = in_header and ids is not None
        # Caches without a lock: two threads that miss at once put in functions that do the same.
        self._writers: dict[type[Event], _Write] = {}
        self._restorers: dict[type[Event], _Write] = {}
        self._readers: dict[bytes, _Read] = {}
        """By what stands in front of the datum."""
        self._learned: dict[bytes, Match] = {}
        self._referred: dict[SchemaRef, _Read] = {}

    def learn(self, match: Match) -> None:
        """Read from now on also what was written with a version that is not among the contracts.

        :param match: a version that the contract's class can read.
        """
        self._learned[match.version.fingerprint] = match

    def encode(self, event: Event) -> bytes:
        """Return an event as a record's value.

        :raises ArgumentError: if the topic does not hold the event's class, a field's value has no place in its Avro
            type, or there are more values in lists and maps than readers take; the message never holds a value.
        """
        write = self._writers.get(type(event))
        if write is None:
            write = self._writers[type(event)] = self._writer(type(event))
        return write(event)

    def decode(self, value: bytes | None, headers: Headers | None = None) -> Event:
        """Return the event that a record's value holds, as its class is today.

        :param headers: the record's headers; only ``__value_schema_id`` is looked at.
        :raises MalformedRecord: if the bytes are not those of an event.
        :raises UnknownSchema: if the writer's schema is not known, or today's class cannot read it.
        """
        if value is not None and (read := self._readers.get(value[:_OWN_FRAME])) is not None:
            return read(value, _OWN_FRAME)
        return self._decode_otherwise(value, headers)

    def _decode_otherwise(self, value: bytes | None, headers: Headers | None) -> Event:
        if value is None:
            raise MalformedRecord("the value is null (a tombstone); an event has a value")
        fingerprint = value[2:_OWN_FRAME] if value[:2] == _SINGLE_OBJECT else b""
        match = self._contracts.match(fingerprint) or self._learned.get(fingerprint)
        if match is not None:
            read = self._readers[value[:_OWN_FRAME]] = _reader(match.contract, match.version)
            return read(value, _OWN_FRAME)
        reference = referred(value, headers)
        if reference is None:
            raise _unknown_frame(value)
        ref, start = reference
        return self._referred_reader(ref)(value, start)

    def _referred_reader(self, ref: SchemaRef) -> _Read:
        read = self._referred.get(ref)
        if read is None:
            read = self._referred[ref] = _reader(*self.look_up(ref))
        return read

    def look_up(self, ref: SchemaRef) -> Match:
        """Return the contract that reads what was written with a schema of the registry, and that schema.

        :raises UnknownSchema: if the registry does not know it, cannot be asked, or today's class cannot read it.
        """
        if self._ids is None:
            raise UnknownSchema(f"the value refers to the schema {ref} of a registry, and no registry is configured")
        schema = self._ids.schema_for(ref)
        if schema is None:
            raise UnknownSchema(f"the registry does not know the schema {ref}")
        try:
            version = Version.of(0, schema)
        except ContractError as error:
            raise UnknownSchema(f"the registry's schema {ref} cannot be used: {error}") from error
        known = self._contracts.match(version.fingerprint)
        if known is not None and means_the_same(known.version, version):
            return known
        contract = self._contracts.of_type(version.type)
        if contract is None:
            raise UnknownSchema(
                f"the registry's schema {ref} is of the type {version.type}; add its class to the topic's events"
            )
        problems = compatibility.compare(version.node, contract.newest.node)
        if problems:
            raise UnknownSchema(f"{contract.event.__name__} cannot read the registry's schema {ref}: {problems[0]}")
        return Match(contract, version)

    def restored(self, event: Event) -> bytes:
        """Return an event that was read in the frame that needs no registry, also one that is published no more.

        :raises ArgumentError: as :meth:`encode`.
        """
        write = self._restorers.get(type(event))
        if write is None:
            contract = self._contract(type(event))
            write = self._restorers[type(event)] = _writer(contract, own_frame(contract.newest))
        return write(event)

    def schema_header(self, event: type[Event]) -> tuple[str, bytes]:
        """Return the header that a record of this class needs beside its value, where the id stands in a header."""
        return SCHEMA_ID_HEADER, self._prefix(self._contract(event))

    def _contract(self, event: type[Event]) -> Contract:
        contract = self._contracts.of_class(event)
        if contract is None:
            raise ArgumentError(f"{event.__name__} is not among the topic's events; add it to Topic(events=[...])")
        return contract

    def _writer(self, event: type[Event]) -> _Write:
        contract = self._contract(event)
        if contract.is_retired:
            raise ArgumentError(
                f"{event.__name__} is retired: it is read and handled, and published no more; publish what took its "
                "place, or take it out of Topic(retired=[...])"
            )
        return _writer(contract, b"" if self.in_header else self._prefix(contract))

    def _prefix(self, contract: Contract) -> bytes:
        number = None if self._ids is None else self._ids.id_for(contract.newest.schema)
        return own_frame(contract.newest) if number is None else _CONFLUENT + number.to_bytes(4, "big")


def own_frame(version: Version) -> bytes:
    """Return what stands in front of a datum that needs no registry to be read."""
    return _SINGLE_OBJECT + version.fingerprint


def is_own(value: bytes) -> bool:
    """Say whether a value is in the frame that needs no registry."""
    return value[:2] == _SINGLE_OBJECT


def referred(value: bytes, headers: Headers | None) -> tuple[SchemaRef, int] | None:
    """Return which schema of a registry a value was written with, and where its datum begins; ``None`` if of none.

    :raises MalformedRecord: if the reference cannot be read.
    """
    references = [reference for name, reference in headers or () if name == SCHEMA_ID_HEADER]
    if len(references) > 1:
        raise MalformedRecord(f"the header {SCHEMA_ID_HEADER} stands more than once")
    if references:
        return _reference(references[0]), 0
    if value[:1] != _CONFLUENT:
        return None
    if len(value) < 5:
        raise MalformedRecord("the value is truncated within its schema id")
    return int.from_bytes(value[1:5], "big"), 5


def _unknown_frame(value: bytes) -> RecordError:
    if value[:2] != _SINGLE_OBJECT:
        start = f"starts with 0x{value[:2].hex()}" if value else "is empty"
        return MalformedRecord(
            f"the value {start}; it has neither Avro's single-object encoding (0xc301) nor Confluent's frame (0x00)"
        )
    if len(value) < _OWN_FRAME:
        return MalformedRecord("the value is truncated within its schema fingerprint")
    return UnknownSchema(
        f"no contract has the schema fingerprint {value[9:1:-1].hex()}; "
        "add the contract file that it was written with, or its event class"
    )


def _reference(header: bytes | None) -> SchemaRef:
    if header is not None and header[:1] == _CONFLUENT and len(header) == 5:
        return int.from_bytes(header[1:], "big")
    if header is not None and header[:1] == _CONFLUENT_GUID and len(header) == 17:
        return UUID(bytes=header[1:])
    raise MalformedRecord(f"the header {SCHEMA_ID_HEADER} is neither 00 and a 4-byte id nor 01 and a 16-byte GUID")


def _writer(contract: Contract, frame: bytes) -> _Write:
    schema = contract.newest.parsed
    convert = writing(event_shape(contract.event))
    limit = datum.safe_size(contract.newest.node)
    write_plain = source.writer(contract.newest.node)

    def write(event: Event) -> bytes:
        buffer = BytesIO()
        try:
            data = convert(event)
            if write_plain is not None and (written := write_plain(data)) is not None:
                return frame + written
            schemaless_writer(buffer, schema, data)
        except Exception as error:  # noqa: BLE001 - whatever fastavro raises, a value did not fit its type
            # Not chained: fastavro's message can hold the value.
            raise _unwritable(contract, event, error) from None
        return frame + buffer.getvalue()

    if limit is None:
        return write

    def write_checked(event: Event) -> bytes:
        value = write(event)
        if len(value) > limit:
            _check_readable(contract, value, len(frame))
        return value

    return write_checked


def _check_readable(contract: Contract, value: bytes, start: int) -> None:
    try:
        datum.reader(contract.newest.node)(value, start)
    except Deviation as error:
        raise ArgumentError(
            f"{contract.type}: no reader takes this event, {error}; publish several smaller events"
        ) from None


def _unwritable(contract: Contract, event: Event, error: Exception) -> ArgumentError:
    """Blame the first field whose addition to the fields before it fails."""
    fields = event_shape(contract.event).fields
    culprit = next(field for count, field in enumerate(fields, 1) if not _is_writable(contract, event, count))
    return ArgumentError(f"{contract.type}: the field {culprit.name} {_why(error)}")


def _is_writable(contract: Contract, event: Event, count: int) -> bool:
    """Say whether an event could be written if it had its first fields only."""
    shape, schema = event_shape(contract.event), contract.newest.schema
    beginning = Version.of(0, schema | {"fields": schema["fields"][:count]})
    convert = writing(replace(shape, fields=shape.fields[:count]))
    try:
        schemaless_writer(BytesIO(), beginning.parsed, convert(event))
    except Exception:  # noqa: BLE001 - as in write
        return False
    return True


def _why(error: Exception) -> str:
    if isinstance(error, OverflowError):
        return "is outside the range of its Avro type; an int has 64 bits"
    if isinstance(error, UnicodeEncodeError):
        return "holds a lone surrogate, which is not text"
    if isinstance(error, InstantError):
        return "lies outside the years 1 to 9999 in UTC"
    if isinstance(error, (AttributeError, KeyError)):
        return "is missing or is not of its declared type"
    return "does not fit its Avro type; build events through validation, not model_construct or model_copy(update=...)"


def _reader(contract: Contract, version: Version) -> _Read:
    """Return the function that reads values of one schema.

    The datum is always read with the writer's schema alone and fitted to the class afterwards.
    """
    label = f"{version.type} version {version.number}" if version.number else f"{version.type} of the registry"
    # What a registry gives may be written by anybody; it is read without source being made of it.
    read_datum = datum.reader(version.node, compiled=version.number > 0)
    convert = upcasting(contract, version) or reading(event_shape(contract.event), version.node)
    validate = contract.event.__pydantic_validator__.validate_python

    def read(value: bytes, start: int) -> Event:
        try:
            data = read_datum(value, start)
            if convert is not None:
                data = convert(data)
        except RecordError:
            raise
        except Deviation as error:
            raise MalformedRecord(f"the value {error} ({label})") from None
        except Exception as error:  # noqa: BLE001 - out of memory, say; whatever it is, the record is to blame
            # Not chained: a message can hold the value.
            raise MalformedRecord(f"the value cannot be read: {type(error).__name__} ({label})") from None
        try:
            event: Event = validate(data)
        except ValidationError as error:
            # Not chained: pydantic's message holds the values.
            raise MalformedRecord(f"the value is refused by its class: {_rules(error)} ({label})") from None
        except Exception as error:
            # A validator of the user's can raise anything; the record is to blame, for its position is known.
            raise MalformedRecord(f"the value made its class raise {type(error).__name__} ({label})") from error
        return event

    return read


def _rules(error: ValidationError) -> str:
    """Return what was broken where, without the values: the first part of a path is a field, later ones can be keys."""
    broken = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(sorted({f"{e['loc'][0] if e['loc'] else 'the event'}: {e['type']}" for e in broken}))

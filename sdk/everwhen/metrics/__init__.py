"""What a worker or a relay does, as metrics for Prometheus and as answers to whether it lives and is ready.

Needs the extra ``everwhen[metrics]``.
"""

from __future__ import annotations

from everwhen.errors import MissingExtra

try:
    from everwhen.metrics.metrics import Metrics
except ModuleNotFoundError as missing:
    if missing.name != "prometheus_client":
        raise
    raise MissingExtra("metrics need the package prometheus-client; pip install 'everwhen[metrics]'") from None

from everwhen.metrics.joined import Joined
from everwhen.metrics.names import METRICS, RELAY_METRICS, Metric
from everwhen.metrics.relay import RelayMetrics
from everwhen.metrics.standing import Limits, Standing

__all__ = ["METRICS", "RELAY_METRICS", "Joined", "Limits", "Metric", "Metrics", "RelayMetrics", "Standing"]

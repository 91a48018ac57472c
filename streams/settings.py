"""Settings of a running service, from ``VITALTWIN_…`` environment variables or the command line."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.places import state_folder

__all__ = ["Settings"]


def _network(value: str) -> str:
    ip_network(value, strict=False)
    return value


class Settings(BaseSettings):
    """Everything a site may change without touching code; durations in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="VITALTWIN_", extra="ignore", frozen=True)

    database: Path = Field(Path("vitaltwin.db"), description="The one file of the embedded service.")
    host: str = Field("127.0.0.1", description="Address to listen on; default: loopback only.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    allowed_hosts: list[str] = Field([], description="Host names browsers may use besides the loopback ones.")
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        [], description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are trusted; no others are."
    )
    path_prefix: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a proxy serves it, like `/vitaltwin`; requests work with and without it.",
    )
    clock_speed: float = Field(
        1.0, gt=0, description="Speed of the service clock relative to wall time; above 1 for demonstrations."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of log lines: for people or for programs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level of log lines.")
    demo: bool = Field(False, description="Whether this service is a demonstration ward.")

    partitions: int = Field(4, ge=1, le=1024, description="Partitions of the log, fixed when the file is created.")
    tick_seconds: float = Field(1.0, gt=0, description="Wall seconds between ticks.")
    checkpoint_seconds: float = Field(5.0, gt=0, description="Every changed block is written within this time.")
    log_retention_seconds: float = Field(3 * 86_400.0, gt=0, description="Age at which log records may be deleted.")
    log_retention_bytes: int = Field(4 << 30, gt=0, description="Size above which the oldest log records are deleted.")
    history_retention_days: float = Field(
        30.0, gt=0, description="Age at which observations and estimates are deleted."
    )
    alarm_retention_days: float = Field(
        400.0, gt=0, description="Age at which alarm transitions, charted facts and judged chances are deleted."
    )
    dead_letter_limit: int = Field(
        10_000, ge=0, description="How many dead letters are kept; the oldest are deleted first."
    )

    unknown_patients: Literal["admit", "refuse"] = Field(
        "admit", description="Whether a reading of an unknown patient admits the patient or is refused."
    )
    default_ward: str = Field("unassigned", description="Ward of patients admitted by their first reading.")
    max_new_patients_per_request: int = Field(20_000, ge=0, description="Most patients one request may admit.")
    new_patients_per_minute: int = Field(
        1000, ge=0, description="Most patients that one key or account may admit by readings in a minute."
    )
    max_patients: int = Field(1_000_000, ge=1, description="Most patients the service follows.")
    future_tolerance_s: float = Field(60.0, ge=0, description="How far ahead of the service's clock a reading may be.")
    oldest_accepted_s: float = Field(7 * 86_400.0, gt=0, description="How old a reading may be on arrival.")

    max_connections: int = Field(8192, gt=0, description="Most connections open at once, as far as the system allows.")
    max_waiting_connections: int = Field(
        512, gt=0, description="Most connections of one address that are idle or have sent no complete request."
    )
    stranger_requests_per_second: float = Field(
        100.0, gt=0, description="Requests per second of one address without a valid key or session; more must wait."
    )
    max_headers: int = Field(100, gt=0, description="Most headers of a request; above it the answer is 431.")
    max_head_bytes: int = Field(
        32 << 10, gt=0, description="Largest size of a request's headers; above it the answer is 431."
    )
    head_seconds: float = Field(10.0, gt=0, description="How long the headers, and a pause within a body, may take.")
    stall_seconds: float = Field(30.0, gt=0, description="A client that reads nothing for this long is disconnected.")
    max_body_bytes: int = Field(8 << 20, gt=0, description="Largest request body as sent.")
    max_inflated_bytes: int = Field(32 << 20, gt=0, description="Largest request body after decompression.")
    max_entries: int = Field(50_000, gt=0, description="Most observations of one JSON body; a frame holds more.")
    max_bodies_bytes: int = Field(
        192 << 20, gt=0, description="Most bytes of request bodies in memory at once; above it the answer is 503."
    )
    max_lag_readings: int = Field(
        1_000_000, gt=0, description="How many readings the twins may be behind; above it observations get 503."
    )
    max_waiting_bytes: int = Field(256 << 20, gt=0, description="Most observation bytes waiting for the disk.")
    metrics_need_sign_in: bool = Field(False, description="Whether /metrics and /health/ready require a key.")

    kafka_servers: str = Field("127.0.0.1:9092", description="Kafka's brokers, host:port, separated by commas.")
    kafka_prefix: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9._-]*$", description="Prefix of topic names.")
    kafka_partitions: int = Field(32, ge=1, le=1024, description="Partitions of the Kafka log, fixed by `init`.")
    kafka_replication: int = Field(1, ge=1, le=9, description="Copies of every topic; 3 with three brokers or more.")
    kafka_log_retention_hours: float = Field(72.0, gt=0, description="Age at which Kafka may delete inputs.")
    kafka_session_seconds: float = Field(6.0, ge=1, description="Silence after which a worker is considered dead.")
    kafka_gather_seconds: float = Field(0.01, ge=0, description="How long a door gathers readings into one frame.")
    kafka_answer_seconds: float = Field(5.0, gt=0, description="How long a door waits for Kafka before it answers 503.")
    kafka_spool: Path | None = Field(
        None, description="Folder where a door stores readings while Kafka is away; without one it answers 503."
    )
    kafka_spool_bytes: int = Field(
        4 << 30, gt=0, description="Size of that folder above which the door also answers 503."
    )
    kafka_compression: Literal["none", "zstd"] = Field(
        "zstd", description="Compression of records; checkpoints shrink to a fifth, at little cost."
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol for the brokers."
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, if the protocol uses SASL."
    )
    kafka_user: str = Field("", description="SASL user.")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    kafka_ca: Path | None = Field(None, description="Certificate authority of the brokers, PEM; default: the system's.")
    kafka_certificate: Path | None = Field(None, description="Client certificate for the brokers, PEM.")
    kafka_key: Path | None = Field(None, description="Key of the client certificate, PEM.")

    worker_port: int = Field(
        8001, ge=0, le=65535, description="Port of a worker's health and metrics; 0: any free port."
    )
    ready_lag: int = Field(5_000, ge=0, description="A worker that is this many records behind is not ready.")

    ready_lag_seconds: float = Field(
        10.0, gt=0, description="A service is not ready if its oldest unprocessed input is older than this."
    )

    influx_url: str = Field("", description="InfluxDB 2 that keeps the history of the distributed service.")
    influx_token: SecretStr = Field(SecretStr(""), description="Token with rights to write and read the buckets.")
    influx_organisation: str = Field("vitaltwin", description="Organisation the buckets belong to.")
    influx_bucket: str = Field("vitaltwin", description="Bucket of the history; others are named after it.")
    influx_spill: Path | None = Field(
        None, description="Folder where a worker stores what InfluxDB has not taken; default: one in the state folder."
    )
    influx_spill_bytes: int = Field(
        4 << 30, gt=0, description="Size of that folder above which the oldest points are deleted."
    )

    audit_retention_days: float = Field(
        1096.0,
        gt=0,
        description="Age at which audit entries are deleted; export them before. 1096 days are three years.",
    )
    accounts_database: str = Field(
        "", description="SQLAlchemy URL of accounts and audit, like `postgresql+psycopg://…`; empty: in the one file."
    )

    @property
    def spill_folder(self) -> Path:
        """Where points wait for InfluxDB; a folder of an earlier version in the working directory stays in use."""
        left = Path("influx-spill")
        return self.influx_spill or (left if left.is_dir() else state_folder() / "influx-spill")

"""One base error. Each error knows its reason code and its HTTP status, so that no caller has to guess."""

from __future__ import annotations


class AvertError(Exception):
    """Anything that Avert refuses or cannot do; its text says where, what was wrong and what to do."""

    reason = "internal"
    status = 500
    exit_code = 1


class SettingsError(AvertError):
    """A setting is missing, malformed or contradicts another."""

    reason = "settings"
    exit_code = 2


class RuleFileError(AvertError):
    """One or more rule files cannot be used; the text has a line a finding (``file:line:column: message``)."""

    reason = "rules"
    exit_code = 3


class RowVersionError(AvertError):
    """A state row was written by a version that this program does not know."""

    reason = "row_version"
    exit_code = 4


class BrokerUnavailableError(AvertError):
    """Kafka cannot be reached, or did not acknowledge in time."""

    reason = "broker_unavailable"
    status = 503
    exit_code = 5


class CacheUnavailableError(AvertError):
    """The cache does not answer, and without it the call would be half done."""

    reason = "cache_unavailable"
    status = 503


class TopicLayoutError(AvertError):
    """The topics' partition counts contradict each other, or there are more workers than partitions."""

    reason = "topic_layout"
    exit_code = 6


class RequestError(AvertError):
    """A request that the caller has to change before it can succeed."""

    reason = "bad_request"
    status = 400


class UnauthorizedError(AvertError):
    """No valid key or token. Unknown and forbidden look the same."""

    reason = "unauthorized"
    status = 401


class PayloadTooLargeError(AvertError):
    """The body is over a limit, counted after decompression."""

    reason = "payload_too_large"
    status = 413


class TooManyRequestsError(AvertError):
    """A rate limit is reached; `retry_after_s` says when to come back."""

    reason = "too_many_requests"
    status = 429

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SlowRequestError(AvertError):
    """The body did not arrive in time."""

    reason = "request_timeout"
    status = 408


class OverloadedError(AvertError):
    """More is under way than this process takes on at a time; `retry_after_s` says when to come back."""

    reason = "overloaded"
    status = 503

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

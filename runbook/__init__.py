"""An audited, reversible runbook: user-owned rows become organization-owned."""

__version__ = "0.2.0"

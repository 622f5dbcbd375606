"""What every resource of the management API is built with: problems, access, pages, ETags, the audit."""

from __future__ import annotations

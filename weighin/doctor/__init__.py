"""Whether a repository is set up as docs/how-to/adopting.md says, as far as its files and a token tell.

`finding` is what a check answers, `callers` reads the workflows of a repository, `codeowners` its CODEOWNERS, `files`
checks what lies in the repository and needs no token, `settings` asks GitHub for the rest. What could not be found out
is `CANNOT_TELL`, and never `OK`.
"""

from weighin.doctor.files import check_files
from weighin.doctor.finding import CANNOT_TELL, MISSING, OK, Finding
from weighin.doctor.settings import check_settings

__all__ = ["CANNOT_TELL", "MISSING", "OK", "Finding", "check_files", "check_settings"]

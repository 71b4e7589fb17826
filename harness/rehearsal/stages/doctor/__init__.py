"""The doctor: what is well on this machine, what `up` will mend, what cannot be tested here, what blocks."""

from rehearsal.stages.doctor.examining import examine, judge
from rehearsal.stages.doctor.rows import Row, Status, exit_code_of_rows, report_record

__all__ = ["Row", "Status", "examine", "exit_code_of_rows", "judge", "report_record"]

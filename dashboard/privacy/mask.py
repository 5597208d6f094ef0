"""What is shown of a name, an identity number and a phone number by default. Pure.

The rules stand in ``loaders.masking``: issues, the audit and the store mask by them too.
"""

from __future__ import annotations

from loaders.masking import COMPOUND_SURNAMES, mask_text
from loaders.masking import mask_id_number as id_number
from loaders.masking import mask_name as name
from loaders.masking import mask_phone as phone

__all__ = ["COMPOUND_SURNAMES", "id_number", "mask_text", "name", "phone"]

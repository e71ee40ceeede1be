"""What stands in the clinic: studies are taken in, kept, measured with `scanside_runtime`, and shown.

Its door is the command `scanside` (`cli`), the watching service included. `inbox` takes files in, `jobs` is the book
and what becomes of each study; `page`, `worklist`, `results` and `dicom_out` are what people and archives see.
"""

"""Texts in the reader's language.

Rows, and the parts of the app without a framework, have English texts and codes. They are translated when they are
shown: `stored` does that, `columns` for the admin. `catalogue` lists these texts for `scripts/messages`.
"""

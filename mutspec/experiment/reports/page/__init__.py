"""The report as a web page: one file that needs no other, to be sent to a colleague.

It is made of a summary alone. Nothing here reads results, writes files or knows Matplotlib; nothing in the page is
fetched from anywhere, and what users named stays text.
"""

from mutspec.experiment.reports.page.page import web_page

__all__ = ["web_page"]

"""The analytics plugin: three reports over the CRM, computed afresh for every call."""

import asyncio
from pathlib import Path

from examples.analytics.crm import fetch_contacts, fetch_deals
from examples.analytics.models import ContactsReport, Forecast, PipelineReport
from examples.analytics.reports import contacts_report, forecast, pipeline_report
from plugin_runtime import Call, Plugin


def create() -> Plugin:
    """Analytics; it keeps nothing of its own."""
    analytics = Plugin.from_manifest(Path(__file__).with_name("plugin.json"))
    reports = analytics.service("analytics.reports")

    @reports.get("/reports/contacts")
    async def report_contacts(call: Call) -> ContactsReport:
        return contacts_report(await fetch_contacts(call))

    @reports.get("/reports/pipeline")
    async def report_pipeline(call: Call) -> PipelineReport:
        contacts, deals = await asyncio.gather(fetch_contacts(call), fetch_deals(call))
        return pipeline_report(contacts, deals)

    @reports.get("/reports/forecast")
    async def report_forecast(call: Call) -> Forecast:
        return forecast(await fetch_deals(call))

    return analytics

"""Campaigns in memory, for each tenant its own; a contact joins a campaign once."""

from collections import defaultdict

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

WELCOME = "welcome"


class Model(BaseModel):
    """Frozen, and camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


class ContactCreated(Model):
    """What the CRM's event says."""

    contact_id: str


class Contact(Model):
    """A contact of the CRM, as far as a campaign needs it."""

    name: str
    email: str


class Member(Model):
    """A contact in a campaign; name and email are null where the CRM could not be asked."""

    contact_id: str
    name: str | None = None
    email: str | None = None


class Summary(Model):
    """A campaign in a list."""

    id: str
    members: int


class Campaigns:
    """The campaigns of one tenant: from the start there is one, which welcomes new contacts."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Member]] = {WELCOME: {}}

    def has(self, campaign: str, contact_id: str) -> bool:
        """Whether the contact is in the campaign."""
        return contact_id in self._members[campaign]

    def join(self, campaign: str, member: Member) -> bool:
        """Add the member; False if the contact was in the campaign before."""
        return self._members[campaign].setdefault(member.contact_id, member) is member

    def members(self, campaign: str) -> list[Member] | None:
        """The members in the order in which they joined; None for an unknown campaign."""
        found = self._members.get(campaign)
        return None if found is None else list(found.values())

    def summaries(self) -> list[Summary]:
        """Every campaign and the number of its members."""
        return [Summary(id=campaign, members=len(members)) for campaign, members in self._members.items()]


class Store:
    """The campaigns of all tenants."""

    def __init__(self) -> None:
        self._tenants: defaultdict[str, Campaigns] = defaultdict(Campaigns)

    def of(self, tenant: str) -> Campaigns:
        """The tenant's own campaigns."""
        return self._tenants[tenant]

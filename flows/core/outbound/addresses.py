"""Which internet addresses are public.

The table is our own: `ipaddress.is_global` differs between Python's releases, and takes multicast, 6to4 and NAT64 for global.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NOT_PUBLIC_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host: connects to loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
"""IANA's special-purpose registry, and multicast."""
PUBLIC_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given out; loopback, mapped, NAT64, unique-local, link-local, site-local and multicast lie outside."""
NOT_PUBLIC_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, carries an IPv4 address
            "3fff::/20",  # documentation
        ),
    )
)
METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google and others
            "169.254.170.2",  # AWS, a task's credentials
            "169.254.170.23",  # AWS, a pod's credentials
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure's wire server, public by its number
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
        ),
    )
)
"""Where clouds hand out a machine's credentials."""
_CARRIERS: Final = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 of a network's own, its usual form
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""Where an IPv6 address carries an IPv4 address, and how many bits follow that."""


@lru_cache(maxsize=8192)
def is_public(address: Address) -> bool:
    """Tell whether an address belongs to a machine on the internet at large."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def carried(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway would make of an IPv6 address, if it carries one."""
    if isinstance(address, IPv6Address) and int(address) > 1:  # `::` and `::1` carry nothing
        for network, bits in _CARRIERS:
            if address in network:
                return IPv4Address(int(address) >> bits & 0xFFFF_FFFF)
    return None


def is_metadata(address: Address) -> bool:
    """Tell whether an address, or the IPv4 address it carries, is a cloud's metadata service."""
    return address in METADATA or carried(address) in METADATA


def is_allowed(address: Address, allow: tuple[Network, ...]) -> bool:
    """Tell whether an address may be called: it is public or in `allow`, so is the IPv4 address it carries, and neither is a cloud's metadata."""
    if address in METADATA:
        return False
    inner = carried(address)
    return (inner is None or is_allowed(inner, allow)) and (is_listed(address, allow) or is_public(address))


def is_listed(address: Address, allow: tuple[Network, ...]) -> bool:
    """Tell whether an address is in one of the networks."""
    return any(address in network for network in allow)


def parse(text: str) -> Address | None:
    """Read an address as a resolver writes it; None for anything else, and for one with a zone (`fe80::1%eth0`)."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas between them; raises ValueError for what is none, and for one whose address has bits past its prefix."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())

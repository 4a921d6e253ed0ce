"""Which IP addresses a foreign URL may lead to."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# From IANA's special-purpose registries. Python's own is_global differs between its releases,
# and counts multicast, 6to4 and other carriers of inner addresses as global.
_FORBIDDEN_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; also a metadata service
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host service, though the address is a public one
            "169.254.0.0/16",  # link-local; metadata services
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
# All that is not listed here is not global unicast: loopback, mapped, unique local, multicast…
_GLOBAL_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_global_unicast(address: IPv4Address | IPv6Address) -> bool:
    """Whether a packet to this address leaves for a single host of the public internet.

    Addresses that carry an IPv4 address (mapped, 6to4, Teredo) are refused whatever they carry,
    except NAT64's well-known prefix: on IPv6-only hosts it is the way to every IPv4 host, so the
    address inside decides.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _FORBIDDEN_V4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_global_unicast(IPv4Address(address.packed[-4:]))
    return address in _GLOBAL_V6 and not any(address in network for network in _FORBIDDEN_V6)

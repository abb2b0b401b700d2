"""Labs of physical switches, any that a person might cable."""

from typing import Any

from hypothesis import strategies as st

from iochain import Lab


@st.composite
def any_labs(draw: st.DrawFn) -> Lab:
    """Up to four switches with cables between any of their ports, in channels or not, and up to six outside ports."""
    lab = Lab()
    lab.host("esx1")
    count = draw(st.integers(1, 4))
    free = {f"sw{number}": 0 for number in range(1, count + 1)}
    drafts = {name: lab.physical_switch(name, priority=4096 * draw(st.integers(0, 2))) for name in free}

    def port(switch: str, **keys: Any) -> str:
        free[switch] += 1
        return drafts[switch].port(free[switch], **keys).name

    for number in range(draw(st.integers(0, 6))):
        a, b = draw(st.sampled_from(sorted(free))), draw(st.sampled_from(sorted(free)))
        members = draw(st.integers(1, 2)) if a != b else 1
        for _ in range(members):
            channel = {"channel": f"po{number}"} if members > 1 else {}
            lab.cable(port(a, **channel), port(b, **channel))
    for switch in sorted(free):
        for _ in range(draw(st.integers(1, 2))):
            vlans: dict[str, Any] = draw(
                st.sampled_from([{}, {"vlan": 10}, {"vlan": 20}, {"allowed_vlans": [10]}, {"native_vlan": 20}])
            )
            port(switch, link="up", **vlans)
    return lab

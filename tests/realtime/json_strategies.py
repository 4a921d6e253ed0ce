"""JSON as nobody would wish it: what a client may send anywhere."""

from hypothesis import strategies as st

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "\ud800", "a\0b", "auto", "none", "inf", "text", "audio", "x" * 300])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        | st.fixed_dictionaries({"type": inner}, optional={"id": inner, "name": inner})
    ),
    max_leaves=12,
)

"""Descriptions of small networks, as hypothesis draws them: the kernels choose their way by a layer's shape."""

from hypothesis import strategies as st

# Below, at and above whole vectors of every path.
CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 48, 50, 64, 65])


@st.composite
def models(draw: st.DrawFn) -> str:
    """Return the description of a network of up to three convolutions."""
    h, w = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    words = [f"{h}x{w}x{draw(CHANNELS)}:"]
    for _ in range(draw(st.integers(0, 3))):
        k = draw(st.integers(1, 5))
        p = draw(st.integers(0, k - 1))
        if min(h, w) + 2 * p < k:
            continue
        words.append(f"conv{draw(CHANNELS)}k{k}p{p},")
        h, w = h + 2 * p - k + 1, w + 2 * p - k + 1
        if min(h, w) >= 2 and draw(st.booleans()):
            words.append("pool,")
            h, w = h // 2, w // 2
    words += [f"fc{draw(CHANNELS)}," for _ in range(draw(st.integers(0, 2)))]
    return "".join(words) + f"fc{draw(CHANNELS)}"

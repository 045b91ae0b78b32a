"""Where the bits of a packed file go: what `container.account` finds out and reports print."""

from dataclasses import dataclass

__all__ = ["FileAccount", "StreamAccount", "TensorAccount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAccount:
    """One stream of symbols.

    Parameters
    ----------
    coder : str
        Key in CODERS.
    count : int
        Symbols, escapes included.
    table_bits, lane_bits, payload_bits : int
        The coder, its table (little where an earlier stream's is shared) and the count of escapes; random access;
        codewords.
    entropy_bits : float
        Order-0 entropy of the symbols.
    """

    coder: str
    count: int
    table_bits: int
    lane_bits: int
    payload_bits: int
    entropy_bits: float

    @property
    def total_bits(self) -> int:
        return self.table_bits + self.lane_bits + self.payload_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAccount:
    """One tensor.

    Parameters
    ----------
    name : str
    shape : tuple of int
    kind : str
        "coded" or "dense".
    element : str
        Key in ELEMENTS.
    size, nnz : int
        Values, and those of them that are stored.
    bits, gap_bits : int or None
        Bits of a code and of a gap before entropy coding; None where there are none.
    metadata_bits, codebook_bits, dense_bits : int
        Kind and counts; the centroids; the values of a dense tensor.
    codes, gaps : StreamAccount or None
        None where there are no symbols.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    size: int
    nnz: int
    metadata_bits: int
    element: str = "float32"
    bits: int | None = None
    gap_bits: int | None = None
    codebook_bits: int = 0
    dense_bits: int = 0
    codes: StreamAccount | None = None
    gaps: StreamAccount | None = None

    def parts(self) -> dict[str, float]:
        """Bytes of every part by its name; their sum is `total_bytes`."""
        bits = {"metadata": self.metadata_bits, "codebook": self.codebook_bits, "dense": self.dense_bits}
        for name, stream in (("codes", self.codes), ("gaps", self.gaps)):
            if stream is not None:
                bits[f"{name}, table"] = stream.table_bits
                bits[f"{name}, lanes"] = stream.lane_bits
                bits[name] = stream.payload_bits
        return {name: count / 8 for name, count in bits.items() if count}

    @property
    def coding_bits(self) -> int:
        """Bits of codes and gaps, tables and lanes included."""
        return sum(stream.total_bits for stream in (self.codes, self.gaps) if stream is not None)

    @property
    def total_bits(self) -> int:
        return self.metadata_bits + self.codebook_bits + self.dense_bits + self.coding_bits

    @property
    def total_bytes(self) -> float:
        return self.total_bits / 8

    @property
    def code_entropy_bits(self) -> float:
        return self.codes.entropy_bits if self.codes is not None else 0.0

    @property
    def gap_entropy_bits(self) -> float:
        return self.gaps.entropy_bits if self.gaps is not None else 0.0

    @property
    def weight_bits_coded(self) -> float:
        """Mean bits of a survivor's codeword."""
        return self.codes.payload_bits / self.nnz if self.codes is not None else 0.0

    @property
    def index_bits(self) -> float:
        """Mean bits of a survivor's gap and escapes before entropy coding."""
        return self.gaps.count * self.gap_bits / self.nnz if self.gaps is not None and self.gap_bits else 0.0

    @property
    def index_bits_coded(self) -> float:
        """Mean bits of a survivor's gap and escapes after entropy coding."""
        return self.gaps.payload_bits / self.nnz if self.gaps is not None else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccount:
    """A whole file.

    Parameters
    ----------
    file_bytes : int
    frame_bits, checksum_bits : int
        Magic, version and length; the checksum.
    graph_bits, provenance_bits : int
    padding_bits : int
        What fills the last byte, and the field that says so.
    tensors : tuple of TensorAccount
    """

    file_bytes: int
    frame_bits: int
    checksum_bits: int
    graph_bits: int
    provenance_bits: int
    padding_bits: int
    tensors: tuple[TensorAccount, ...]

    def parts(self) -> dict[str, float]:
        """Bytes of every part of the file by its name; their sum is `file_bytes`."""
        bits = {
            "frame": self.frame_bits,
            "checksum": self.checksum_bits,
            "graph": self.graph_bits,
            "provenance": self.provenance_bits,
            "padding": self.padding_bits,
        }
        sums = {name: count / 8 for name, count in bits.items()}
        for tensor in self.tensors:
            for name, size in tensor.parts().items():
                sums[name] = sums.get(name, 0.0) + size
        return sums

    @property
    def coding_bits(self) -> int:
        """Bits of all codes and gaps, tables and lanes included."""
        return sum(tensor.coding_bits for tensor in self.tensors)

    @property
    def entropy_bits(self) -> float:
        """Order-0 entropy of all streams of codes and of gaps, each by itself."""
        return sum(tensor.code_entropy_bits + tensor.gap_entropy_bits for tensor in self.tensors)

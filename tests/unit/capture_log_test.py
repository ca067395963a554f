# SPDX-License-Identifier: Apache-2.0
"""A second reader of captures, written from docs/capture-format.md alone: the format is what the page says."""
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
except ImportError:
    sys.exit(77)

DRIVER = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "capture_shards_test")
CALL, OPERAND, CALL_END, LOSS, END, BLOB = 6, 7, 8, 11, 12, 13
P1, P2, P3, P4, P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
MASK = 0xFFFFFFFF


def rotate(value, bits):
    return (value << bits | value >> (32 - bits)) & MASK


def xxh32(data, seed):
    at, lanes = 0, [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
    while len(data) - at >= 16:
        for lane in range(4):
            word = struct.unpack_from("<I", data, at + 4 * lane)[0]
            lanes[lane] = rotate((lanes[lane] + word * P2) & MASK, 13) * P1 & MASK
        at += 16
    if at:
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
    else:
        value = seed + P5
    value = (value + len(data)) & MASK
    while len(data) - at >= 4:
        value = rotate((value + struct.unpack_from("<I", data, at)[0] * P3) & MASK, 17) * P4 & MASK
        at += 4
    for byte in data[at:]:
        value = rotate((value + byte * P5) & MASK, 11) * P1 & MASK
    value = (value ^ value >> 15) * P2 & MASK
    value = (value ^ value >> 13) * P3 & MASK
    return value ^ value >> 16


def read_records(path, check_every=50):
    log = open(path, "rb").read()
    magic, version, block_bytes = struct.unpack_from("<8sII", log)
    assert magic == b"TTAPLOG1" and version == 1
    records = []
    for block in range(0, len(log), block_bytes):
        if log[block:block + 8] not in (b"TTAPLOG1", b"TTAPBLK1"):
            continue
        at, end = block + 64, min(block + block_bytes, len(log))
        while at + 24 <= end:
            length, kind, _, check, thread, sequence = struct.unpack_from("<IHHIIQ", log, at)
            if length == 0:
                break
            if len(records) % check_every == 0:
                assert xxh32(log[at + 12:at + length], length ^ kind << 16) == check, (at, length, kind)
            records.append((sequence, kind, read_fields(log[at + 24:at + length])))
            at += length
    return sorted(records, key=lambda record: record[0])


def read_fields(data):
    fields, at = {}, 0
    while at < len(data):
        tag, _, length = struct.unpack_from("<HHI", data, at)
        fields.setdefault(tag, data[at + 8:at + 8 + length])
        at += 8 + (length + 7) // 8 * 8
    return fields


def integers(value):
    return struct.unpack(f"<{len(value) // 8}q", value)


def main():
    with tempfile.TemporaryDirectory() as parent:
        directory = os.path.join(parent, "capture")
        subprocess.run([DRIVER, "write", directory, "close"], check=True)
        records = read_records(os.path.join(directory, "events.ttlog"))
        sequences = [record[0] for record in records]
        assert len(set(sequences)) == len(sequences)
        calls = {integers(f[1])[0]: f for _, kind, f in records if kind == CALL}
        operands = [f for _, kind, f in records if kind == OPERAND]
        assert len(calls) == len(operands) == sum(kind == CALL_END for _, kind, _ in records)
        assert records[-1][1] == END and integers(records[-1][2][26])[0] == len(calls)
        assert not any(kind == LOSS for _, kind, _ in records)
        shards, checked = {}, 0
        for operand in operands:
            when, dtype, kept, flags = struct.unpack("<4H", operand[12])
            call = calls[integers(operand[10])[0]]
            assert call[4] == b"copy" and when == 1 and kept == 1 and flags & 1
            if operand[11] not in (b"y", b"large"):
                continue
            shape = integers(operand[13])
            first, rows, shard, offset, stride = integers(operand[19])
            if shard not in shards:
                shards[shard] = open(os.path.join(directory, f"data-{shard:04d}.safetensors"), "rb").read()
            assert dtype == 2 and first == 0 and rows == shape[0] and stride == 4 * shape[1]
            values = numpy.frombuffer(shards[shard], numpy.float32, shape[0] * shape[1], offset).reshape(shape)
            low, high, mean = struct.unpack_from("<3d", operand[18])
            assert low == values.min() and high == values.max()
            assert abs(mean - values.mean(dtype=numpy.float64)) <= 1e-9 * abs(high)
            if operand[11] == b"y":
                assert values.ravel().tolist() == list(range(12 * checked, 12 * checked + 12))
            checked += 1
        assert checked == 3001, checked


main()

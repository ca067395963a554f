# SPDX-License-Identifier: Apache-2.0
"""Reads a capture that `tensortap ref` wrote: every component of every pass as numpy arrays.

Written from docs/capture-format.md alone. A reference capture is closed, keeps all data and holds packed tensors,
so torn blocks, thinning, views and file references need no care here.
"""
import os
import struct

import numpy

CALL, OPERAND = 6, 7  # record types
ID, ATTRIBUTE, OF_CALL, ROLE, KIND, SHAPE, SEGMENTS = 1, 9, 10, 11, 12, 13, 19  # fields
SEGMENT = struct.Struct("<5Q")  # first row, rows, shard, offset, bytes from row to row
DTYPES = {1: "<f8", 2: "<f4", 8: "<i4", 9: "<i8"}  # include/tensortap/dtype.h


class Pass:
    """What went into one pass of one sequence, and what came out: values by (layer, component), layer -1 at the ends. Of a
    loop the last iteration's, all of them in `iterations`."""

    def __init__(self, number, sequence):
        self.number, self.sequence, self.inputs, self.values, self.iterations = number, sequence, {}, {}, {}

    def __getitem__(self, key):
        return self.values[key if isinstance(key, tuple) else (-1, key)]

    def __contains__(self, key):
        return (key if isinstance(key, tuple) else (-1, key)) in self.values


def fields_of(data):
    found, at = [], 0
    while at < len(data):
        tag, length = struct.unpack_from("<H2xI", data, at)
        found.append((tag, data[at + 8:at + 8 + length]))
        at += 8 + (length + 7) // 8 * 8
    return found


def records(log):
    """(type, [(tag, value)]) of all records, in order of their sequence."""
    size, found = struct.unpack_from("<I", log, 12)[0], []
    for start in range(0, len(log), size):
        if log[start:start + 8] not in (b"TTAPLOG1", b"TTAPBLK1"):
            continue
        at = start + 64
        while at + 24 <= start + size:
            length, kind = struct.unpack_from("<IH", log, at)
            if not length:
                break
            found.append((struct.unpack_from("<Q", log, at + 16)[0], kind, fields_of(log[at + 24:at + length])))
            at += length
    return [(kind, values) for _, kind, values in sorted(found, key=lambda record: record[0])]


def attributes_of(values):
    """{name: value} of a call's ATTRIBUTE fields."""
    found = {}
    for tag, value in values:
        if tag == ATTRIBUTE:
            kind, length = struct.unpack_from("<II", value)
            name, rest = value[8:8 + length].decode(), value[8 + (length + 7) // 8 * 8:]
            found[name] = rest.decode() if kind == 3 else struct.unpack_from("<q" if kind == 1 else "<d", rest)[0]
    return found


class Shards:
    """The files that hold tensor data, each mapped when it is first needed."""

    def __init__(self, folder):
        self.folder, self.maps = folder, {}

    def map(self, number):
        if number not in self.maps:
            path = os.path.join(self.folder, f"data-{number:04d}.safetensors")
            self.maps[number] = numpy.memmap(path, mode="r")
        return self.maps[number]

    def read(self, operand):
        """The array of an operand: rows of all segments one after the other."""
        value = operand[SHAPE]
        shape = struct.unpack(f"<{len(value) // 8}q", value)
        dtype = numpy.dtype(DTYPES[struct.unpack_from("<4H", operand[KIND])[1]])
        segments = sorted(SEGMENT.iter_unpack(operand.get(SEGMENTS, b"")))
        rows = sum(segment[1] for segment in segments)
        length = int(numpy.prod(shape)) * dtype.itemsize // max(rows, 1)
        parts = [self.map(shard)[offset + i * stride:offset + i * stride + length]
                 for _, count, shard, offset, stride in segments for i in range(count)]
        return numpy.frombuffer(b"".join(part.tobytes() for part in parts), dtype).reshape(shape)


def read(folder):
    """[Pass], in the order in which they ran."""
    with open(os.path.join(folder, "events.ttlog"), "rb") as file:
        log = file.read()
    shards, calls, passes = Shards(folder), {}, {}
    for kind, values in records(log):
        named = dict(values)
        if kind == CALL:
            attributes = attributes_of(values)
            calls[named[ID]] = attributes
            key = attributes["pass"], attributes["sequence"]
            passes.setdefault(key, Pass(*key))
        elif kind == OPERAND:
            attributes = calls[named[OF_CALL]]
            owner = passes[attributes["pass"], attributes["sequence"]]
            if "component" in attributes:
                key = attributes["layer"], attributes["component"]
                owner.values[key] = shards.read(named)
                if "iteration" in attributes:
                    owner.iterations.setdefault(key, []).append(owner.values[key])
            else:
                owner.inputs[named[ROLE].decode()] = shards.read(named)
    return list(passes.values())

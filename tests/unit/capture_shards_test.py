# SPDX-License-Identifier: Apache-2.0
"""Every shard opens in the safetensors library: while it grows, after the end, after a kill, after repair."""
import glob
import os
import signal
import subprocess
import sys
import tempfile

try:
    import numpy
    from safetensors import safe_open
except ImportError:
    sys.exit(77)

DRIVER = os.path.join(os.environ["TENSORTAP_BUILD"], "bin", "capture_shards_test")
TENSORS = 3000


def shards(directory):
    found = sorted(glob.glob(os.path.join(directory, "data-*.safetensors")))
    assert found, "no shard in " + directory
    return found


def names(path):
    with safe_open(path, framework="np") as file:
        return list(file.keys())


def check_closed(directory):
    """All tensors by name and value; metadata says what U8 stands for."""
    small, seen, logical = {}, set(), {}
    for path in shards(directory):
        with safe_open(path, framework="np") as file:
            logical.update(file.metadata() or {})
            for name in file.keys():
                assert name not in seen or name.startswith("_pad."), name
                seen.add(name)
                if name.endswith(".y.after"):
                    small[int(name.split(".")[0][1:])] = file.get_tensor(name)
                if name.endswith(".large.after"):
                    large = file.get_tensor(name)
                if ".q4_0." in name:
                    assert file.get_slice(name).get_dtype() == "U8"
                    assert file.get_slice(name).get_shape() == [3, 36], file.get_slice(name).get_shape()
                    assert logical[name] == "q4_0 [3,64]", logical[name]
                if ".bf16." in name:
                    assert file.get_slice(name).get_dtype() == "BF16"
    assert len(small) == TENSORS, len(small)
    for index, key in enumerate(sorted(small)):
        expected = numpy.arange(index * 12, index * 12 + 12, dtype=numpy.float32).reshape(3, 4)
        assert (small[key] == expected).all(), (key, small[key])
    assert large.shape == (1500, 1024) and large[1499, 1023] == (1500 * 1024 - 1) % 8191
    assert "_open" not in seen


def main():
    with tempfile.TemporaryDirectory() as parent:
        closed = os.path.join(parent, "closed")
        subprocess.run([DRIVER, "write", closed, "close"], check=True)
        check_closed(closed)
        assert len(shards(closed)) >= 2
        assert os.stat(closed).st_mode & 0o777 == 0o700
        for path in glob.glob(os.path.join(closed, "*")):
            assert os.stat(path).st_mode & 0o777 == 0o600, path

        killed = os.path.join(parent, "killed")
        writer = subprocess.Popen([DRIVER, "write", killed, "wait"], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "ready\n"
        assert names(shards(killed)[-1]) == ["_open"]
        for path in shards(killed):
            names(path)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        for path in shards(killed):
            names(path)
        subprocess.run([DRIVER, "repair", killed], check=True)
        check_closed(killed)

        # killed at any moment, shards open
        for delay in range(1, 25):
            directory = os.path.join(parent, f"any{delay}")
            writer = subprocess.Popen([DRIVER, "write", directory, "close"])
            try:
                writer.wait(timeout=delay / 400)
            except subprocess.TimeoutExpired:
                writer.kill()
                writer.wait()
            for path in glob.glob(os.path.join(directory, "data-*.safetensors")):
                names(path)
            if os.path.exists(os.path.join(directory, "manifest.json")):
                subprocess.run([DRIVER, "repair", directory], check=True)
                for path in glob.glob(os.path.join(directory, "data-*.safetensors")):
                    names(path)


main()

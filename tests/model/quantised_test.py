# SPDX-License-Identifier: Apache-2.0
"""Quantised safetensors against the packages that define them: fp8 (PyTorch's casts), compressed-tensors,
bitsandbytes, transformers' MXFP4. GPTQ and AWQ are held against the published definitions in NumPy: their packages
need a GPU. Values that a definition gives exactly must agree bit for bit. 77: torch or safetensors missing."""
import importlib
import sys

try:
    import numpy as np
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from reading import check, dump, exact, main, near, refused, write_config

torch.manual_seed(7)
RANDOM = np.random.default_rng(7)


def save(folder, tensors, config=None):
    if config is not None:
        write_config(folder, quantization_config=config)
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, f"{folder}/model.safetensors")
    return folder


def package(name):
    """The module, or None with a line: a package that cannot be had leaves its part of the test out."""
    try:
        return importlib.import_module(name)
    except Exception as missing:
        print(f"left out, no {name}: {missing}")
        return None


# ---- fp8 and int8 ----

def blocks_of(scale, rows, columns, size):
    return scale.repeat_interleave(size[0], -2)[..., :rows, :].repeat_interleave(size[1], -1)[..., :columns]


def test_fp8(folder):
    weight = (torch.randn(300, 200) * 50).clamp(-400, 400)
    stack = torch.randn(3, 40, 48).to(torch.float8_e4m3fn)
    scales = {"tensor": torch.tensor(0.013), "tensor1": torch.tensor([0.7]), "channel": torch.rand(300, 1),
              "channel1": torch.rand(300), "block": torch.rand(3, 2)}
    tensors, expected = {}, {}
    for name, scale in scales.items():
        for kind in (torch.float8_e4m3fn, torch.float8_e5m2):
            key = f"{name}.{kind}".replace("torch.", "")
            codes = weight.to(kind)
            tensors[key + ".weight"] = codes
            tensors[key + (".weight_scale_inv" if name == "block" else ".weight_scale")] = scale
            spread = blocks_of(scale, 300, 200, (128, 128)) if name == "block" else \
                scale[:, None] if scale.shape == (300,) else scale
            expected[key + ".weight"] = ("fp8 per " + name.rstrip("1"), codes.float() * spread)
    tensors["experts.up"], tensors["experts.up_scale"] = stack, torch.rand(3, 1, 48)
    expected["experts.up"] = ("fp8 per block", stack.float() * tensors["experts.up_scale"])
    tensors["bf16.weight"], tensors["bf16.weight_scale"] = stack[0], torch.rand(40, 1).bfloat16()
    expected["bf16.weight"] = ("fp8 per channel", stack[0].float() * tensors["bf16.weight_scale"].float())
    tensors["one.weight"], tensors["one.weight_scale"] = stack[1], torch.rand(40, 3)
    expected["one.weight"] = ("fp8 per block", stack[1].float() * blocks_of(tensors["one.weight_scale"], 40, 48, (1, 16)))
    tensors["exponents.weight"] = stack[2]
    tensors["exponents.weight_scale_inv"] = torch.randint(90, 140, (40, 3), dtype=torch.uint8)
    expected["exponents.weight"] = ("fp8 per block", stack[2].float() * blocks_of(
        torch.exp2(tensors["exponents.weight_scale_inv"].float() - 127), 40, 48, (1, 16)))
    tensors["bare.weight"] = stack[0]
    expected["bare.weight"] = (None, stack[0])
    save(folder, tensors, {"quant_method": "fp8", "weight_block_size": [128, 128]})
    found = dump(folder)
    for name, (form, values) in expected.items():
        exact(found, name, values, form, "fp8")


def test_fp8_configured_block(folder):
    """Partial blocks of another size than the usual one, which only the configuration tells."""
    codes, scale = torch.randn(100, 70).to(torch.float8_e4m3fn), torch.rand(4, 3)
    save(folder, {"a.weight": codes, "a.weight_scale_inv": scale}, {"weight_block_size": [32, 32]})
    exact(dump(folder), "a.weight", codes.float() * blocks_of(scale, 100, 70, (32, 32)), "fp8 per block", "block 32")


def test_fp8_refusals(folder):
    codes = torch.randn(100, 70).to(torch.float8_e4m3fn)
    for scale in (torch.rand(7, 3), torch.rand(99), torch.zeros(0), torch.rand(2, 2, 2)):
        save(folder, {"a.weight": codes, "a.weight_scale": scale}, {})
        refused(folder, "'a.weight'")


def test_int8(folder):
    bnb = package("bitsandbytes.functional")
    if not bnb:
        return
    codes, scales, _ = bnb.int8_vectorwise_quant(torch.randn(64, 96).half())
    save(folder, {"a.weight": codes, "a.SCB": scales, "a.weight_format": torch.tensor(0, dtype=torch.uint8)}, {})
    near(dump(folder), "a.weight", bnb.int8_vectorwise_dequant(codes, scales), "int8 per channel", 2e-7, "int8")


# ---- bitsandbytes ----

def test_bitsandbytes(folder):
    bnb = package("bitsandbytes.functional")
    if not bnb:
        return
    tensors, expected = {}, {}
    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            for block in (64, 256):
                name = f"{kind}.{nested}.{block}.weight"
                codes, state = bnb.quantize_4bit(torch.randn(96, 1030), blocksize=block, quant_type=kind,
                                                 compress_statistics=nested)
                tensors[name] = codes
                tensors.update({f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()})
                expected[name] = (kind, bnb.dequantize_4bit(codes, state))
    found = dump(save(folder, tensors, {"quant_method": "bitsandbytes"}))
    for name, (kind, values) in expected.items():
        exact(found, name, values, kind, "bitsandbytes")
    tensors["nf4.False.64.weight.absmax"] = tensors["nf4.False.64.weight.absmax"][1:]
    refused(save(folder, tensors), "'nf4.False.64.weight'")


# ---- GPTQ: Frantar et al. 2022 as AutoGPTQ and GPTQModel store it ----

def pack_stream(codes, bits):
    """[lines, n] codes as the bits of little-endian 32-bit words [lines, n * bits / 32]."""
    stream = (codes[..., None] >> np.arange(bits) & 1).reshape(len(codes), -1).astype(np.uint8)
    return np.packbits(stream, axis=-1, bitorder="little").view("<i4")


def gptq_layer(bits, group, order, inputs=128, outputs=96, stored_less_one=True):
    """Tensors of a layer and the weight [out, in] that they stand for, in f32."""
    codes = RANDOM.integers(0, 2**bits, (inputs, outputs))
    groups = 1 if group < 0 else -(-inputs // group)
    zeros = RANDOM.integers(1, 2**bits, (groups, outputs))
    scales = RANDOM.standard_normal((groups, outputs)).astype(np.float16)
    g_idx = np.zeros(inputs, int) if group < 0 else np.arange(inputs) // group
    if order:
        g_idx = RANDOM.permutation(g_idx)
    weight = scales[g_idx].astype(np.float32) * (codes - zeros[g_idx]).astype(np.float32)
    return {"qweight": pack_stream(codes.T, bits).T.copy(), "qzeros": pack_stream(zeros - stored_less_one, bits),
            "scales": scales, "g_idx": g_idx.astype(np.int32)}, weight.T


def test_gptq(folder):
    tensors, expected = {}, {}
    for bits in (2, 3, 4, 8):
        for group, order in ((32, False), (64, True), (-1, False)):
            name = f"b{bits}.g{group}.{order}"
            layer, expected[name + ".weight"] = gptq_layer(bits, group, order)
            tensors.update({f"{name}.{key}": torch.from_numpy(value) for key, value in layer.items()})
    found = dump(save(folder, tensors, {"quant_method": "gptq", "bits": 4, "group_size": 32}))
    for name, values in expected.items():
        exact(found, name, values, "gptq", "gptq")


def test_gptq_forms(folder):
    layer, weight = gptq_layer(4, 32, False, stored_less_one=False)
    tensors = {"a." + key: torch.from_numpy(value) for key, value in layer.items()}
    config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": "gptq_v2"}
    exact(dump(save(folder, tensors, config)), "a.weight", weight, "gptq_v2", "zeros as they are")
    layer, weight = gptq_layer(4, 48, False)  # the last group is shorter, and no g_idx says so
    tensors = {"a." + key: torch.from_numpy(value) for key, value in layer.items() if key != "g_idx"}
    config = {"quant_method": "gptq", "bits": 4, "group_size": 48}
    exact(dump(save(folder, tensors, config)), "a.weight", weight, "gptq", "without g_idx")
    for name, wrong in (("qzeros", tensors["a.qzeros"][:, 1:]), ("scales", tensors["a.scales"][:, 1:]),
                        ("qweight", tensors["a.qweight"][5:])):
        refused(save(folder, {**tensors, "a." + name: wrong}, config), "'a.qweight'")
    refused(save(folder, {**tensors, "a.g_idx": torch.full((128,), 3, dtype=torch.int32)}, config), "group 3 of 3")
    refused(save(folder, {**tensors, "a.g_idx": torch.full((128,), -1, dtype=torch.int32)}, config), "group -1 of 3")


# ---- AWQ: Lin et al. 2023 as AutoAWQ's gemm version stores it ----

def test_awq(folder):
    inputs, outputs, group = 128, 96, 32
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    codes = RANDOM.integers(0, 16, (inputs, outputs))
    zeros = RANDOM.integers(0, 16, (inputs // group, outputs))
    scales = RANDOM.standard_normal((inputs // group, outputs)).astype(np.float16)

    def pack(values):
        lanes = values.reshape(len(values), -1, 8)[:, :, order].astype(np.uint32)
        return torch.from_numpy((lanes << np.arange(0, 32, 4, dtype=np.uint32)).sum(-1).astype(np.uint32).view(np.int32))

    spread = np.arange(inputs) // group
    weight = scales[spread].astype(np.float32) * (codes - zeros[spread]).astype(np.float32)
    tensors = {"a.qweight": pack(codes), "a.qzeros": pack(zeros), "a.scales": torch.from_numpy(scales)}
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    exact(dump(save(folder, tensors, config)), "a.weight", weight.T, "awq", "awq")
    refused(save(folder, {**tensors, "a.qzeros": tensors["a.qzeros"][:, 1:]}, config), "'a.qweight'")


# ---- compressed-tensors ----

def scheme(bits, kind, strategy, group=None, symmetric=True):
    quant = importlib.import_module("compressed_tensors.quantization")
    weights = quant.QuantizationArgs(num_bits=bits, type=kind, strategy=strategy, group_size=group,
                                     symmetric=symmetric)
    return quant.QuantizationScheme(targets=["Linear"], weights=weights)


def test_compressed_packed(folder):
    if not package("compressed_tensors"):
        return
    packed = importlib.import_module("compressed_tensors.compressors").PackedQuantizationCompressor
    for bits in (2, 3, 4, 5, 8):
        for strategy, group, columns in (("group", 32, 96), ("channel", None, 104)):
            for symmetric in (True, False):
                groups, half = columns // group if group else 1, 2**(bits - 1)
                state = {"weight": torch.randn(64, columns), "weight_scale": torch.rand(64, groups) / half + 0.01,
                         "weight_zero_point": torch.randint(-half, half, (64, groups), dtype=torch.int8)}
                if symmetric:
                    state["weight_zero_point"].zero_()
                plan = scheme(bits, "int", strategy, group, symmetric)
                state = packed.compress(state, plan)
                expected = packed.decompress(state, plan)["weight"]
                tensors = {"a." + key: value for key, value in state.items()}
                config = {"quant_method": "compressed-tensors",
                          "config_groups": {"group_0": {"weights": {"num_bits": bits, "group_size": group}}}}
                exact(dump(save(folder, tensors, config)), "a.weight", expected, "packed integers",
                      f"compressed {bits} {strategy} {symmetric}")


def test_compressed_plain(folder):
    if not package("compressed_tensors"):
        return
    compressors = importlib.import_module("compressed_tensors.compressors")
    for kind, strategy, symmetric in (("int", "channel", True), ("int", "channel", False), ("float", "tensor", True),
                                      ("float", "channel", True)):
        rows = 1 if strategy == "tensor" else 64
        state = {"weight": torch.randn(64, 96), "weight_scale": torch.rand(rows, 1) / 50 + 0.01,
                 "weight_zero_point": torch.randint(-9, 9, (rows, 1), dtype=torch.int8)}
        if symmetric:
            del state["weight_zero_point"]
        plan = scheme(8, kind, strategy, None, symmetric)
        state = compressors.NaiveQuantizationCompressor.compress(state, plan)
        expected = compressors.NaiveQuantizationCompressor.decompress(state, plan)["weight"]
        form = f"{'int8' if kind == 'int' else 'fp8'} per {strategy}"
        exact(dump(save(folder, {"a." + key: value for key, value in state.items()}, {})), "a.weight", expected, form,
              f"compressed {kind} {strategy}")


def test_fp4(folder):
    """NVFP4 and MXFP4 of compressed-tensors; the same codes as ModelOpt names and scales them."""
    if not package("compressed_tensors"):
        return
    compressors = importlib.import_module("compressed_tensors.compressors")
    codes = torch.randint(0, 256, (64, 48), dtype=torch.uint8)
    values = compressors.unpack_fp4_from_uint8(codes, 64, 96, dtype=torch.float32)
    scale, factor = torch.rand(64, 6).to(torch.float8_e4m3fn), torch.tensor([512.0])
    spread = scale.float().repeat_interleave(16, 1)
    exponents = torch.randint(100, 140, (64, 3), dtype=torch.uint8)
    tensors = {"nv.weight_packed": codes, "nv.weight_scale": scale, "nv.weight_global_scale": factor,
               "opt.weight": codes, "opt.weight_scale": scale, "opt.weight_scale_2": torch.tensor(0.25),
               "mx.weight_packed": codes, "mx.weight_scale": exponents,
               "signed.weight": codes.view(torch.int8), "signed.weight_scale_inv": exponents}
    found = dump(save(folder, tensors, {}))
    powers = torch.exp2(exponents.float() - 127).repeat_interleave(32, 1)
    exact(found, "nv.weight", values * (spread / factor), "nvfp4", "compressed")
    exact(found, "opt.weight", values * (spread * 0.25), "nvfp4", "modelopt")
    exact(found, "mx.weight", values * powers, "mxfp4", "compressed")
    exact(found, "signed.weight", values * powers, "mxfp4", "bytes as int8")


# ---- MXFP4 of gpt-oss ----

def test_mxfp4(folder):
    mxfp4 = package("transformers.integrations.mxfp4")
    if not mxfp4:
        return
    blocks = torch.randint(0, 256, (3, 40, 5, 16), dtype=torch.uint8)
    scales = torch.randint(110, 140, (3, 40, 5), dtype=torch.uint8)
    expected = mxfp4.convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    found = dump(save(folder, {"gate_up_proj_blocks": blocks, "gate_up_proj_scales": scales}, {}))
    exact(found, "gate_up_proj_blocks", expected.transpose(1, 2), "mxfp4", "mxfp4")
    check(found["gate_up_proj_blocks"][2].shape == (3, 40, 160), "mxfp4: logical shape")
    refused(save(folder, {"gate_up_proj_blocks": blocks, "gate_up_proj_scales": scales[:, 1:]}, {}), "gate_up_proj_blocks")


if __name__ == "__main__":
    main([test_fp8, test_fp8_configured_block, test_fp8_refusals, test_int8, test_bitsandbytes, test_gptq, test_gptq_forms,
          test_awq, test_compressed_packed, test_compressed_plain, test_fp4, test_mxfp4])

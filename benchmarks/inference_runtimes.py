"""What each runtime of inference.py runs in a process of its own, and loops in C around single inferences."""

TIMER = """
import json, os, statistics, sys, time
import numpy as np
folder = sys.argv[1]
x, expected = np.load(f"{folder}/x.npy"), np.load(f"{folder}/logits.npy")
def timed(call, n_inferences):
    call()
    n_calls, start = 0, time.process_time()
    while time.process_time() - start < 0.05:
        call(); n_calls += 1
    blocks = []
    for _ in range(9):
        start = time.process_time()
        for _ in range(n_calls): call()
        blocks.append((time.process_time() - start) / (n_calls * n_inferences))
    return statistics.median(blocks) * 1e9
def tell(single, batch, one, many, loop=None, **more):
    exact = np.array_equal(one(), expected[:1]) and np.array_equal(many(), expected)
    times = {"single_ns": timed(single, 1), "batch_ns": timed(batch, len(x))}
    if loop:
        exact = exact and np.array_equal(loop(), expected)
        times["loop_ns"] = timed(loop, len(x))
    print(json.dumps({**times, "exact": exact, **more}))
"""

C_CODE = """
import ctypes
words = np.load(f"{folder}/words.npy")
library = ctypes.CDLL(sys.argv[2])
out = np.zeros(expected.shape, np.int32)
at = lambda array: array.ctypes.data_as(ctypes.c_void_p)
x_at, out_at, n = at(words), at(out), ctypes.c_uint(len(x))
def one():
    library.bench(x_at, ctypes.c_uint(1), out_at); return out[:1]
def many():
    library.bench(x_at, n, out_at); return out
one_vector = ctypes.c_uint(1)
tell(lambda: library.bench(x_at, one_vector, out_at), many, one, many, many)
"""

C_BATCH_CODE = """
import ctypes
rows = np.load(f"{folder}/rows.npy")
library = ctypes.CDLL(sys.argv[2])
call = library[sys.argv[3]]
out = np.zeros(expected.shape, np.int32)
at = lambda array: array.ctypes.data_as(ctypes.c_void_p)
x_at, out_at, n, one_row = at(rows), at(out), ctypes.c_size_t(len(x)), ctypes.c_size_t(1)
def one():
    call(x_at, one_row, out_at); return out[:1]
def many():
    call(x_at, n, out_at); return out
def loop():
    library.bench(x_at, ctypes.c_uint(len(x)), out_at); return out
tell(lambda: call(x_at, one_row, out_at), many, one, many, loop)
"""

ONNX_CODE = """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
path = f"{folder}/onnx/model.onnx"
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
single, batch = {"x": x[:1]}, {"x": x}
one, many = (lambda: session.run(["logits"], single)[0]), (lambda: session.run(["logits"], batch)[0])
tell(one, many, one, many, version=onnxruntime.__version__)
"""

LITERT_CODE = """
import ctypes
from importlib.metadata import version
from ai_edge_litert.interpreter import Interpreter
def runner(rows):
    run = Interpreter(f"{folder}/model.tflite", num_threads=1)
    source = run.get_input_details()[0]["index"]
    run.resize_tensor_input(source, rows.shape)
    run.allocate_tensors()
    result = run.get_output_details()[0]["index"]
    def call():
        run.set_tensor(source, rows); run.invoke(); return run.get_tensor(result)
    return call
one, many = runner(x[:1].astype(np.float32)), runner(x.astype(np.float32))

# The same model through LiteRT's C API, its calls made by a loop in C.
import ai_edge_litert
api = ctypes.CDLL(os.path.dirname(ai_edge_litert.__file__) + "/libLiteRt.so")
Pointer, Size = ctypes.c_void_p, ctypes.c_size_t
class Layout(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_uint), ("dimensions", ctypes.c_int32 * 8), ("strides", ctypes.c_uint32 * 8)]
class TensorType(ctypes.Structure):
    _fields_ = [("element", ctypes.c_int32), ("layout", Layout)]
def made(name, *arguments):
    result = Pointer()
    if api[name](*arguments, ctypes.byref(result)):
        sys.exit(f"{name} failed")
    return result
def tensor(n):
    memory = ctypes.create_string_buffer(4 * n + 64)
    at = Pointer(ctypes.addressof(memory) + -ctypes.addressof(memory) % 64)
    float32 = TensorType(1, Layout(2, (ctypes.c_int32 * 8)(1, n)))
    name = "LiteRtCreateTensorBufferFromHostMemory"
    return memory, at, made(name, ctypes.byref(float32), at, Size(4 * n), None)
environment = made("LiteRtCreateEnvironment", 0, None)
network = made("LiteRtCreateModelFromFile", environment, f"{folder}/model.tflite".encode())
options = made("LiteRtCreateOptions")
api.LiteRtSetOptionsHardwareAccelerators(options, 1)
compiled = made("LiteRtCreateCompiledModel", environment, network, options)
(_in, in_at, in_buffer), (_out, out_at, out_buffer) = tensor(x.shape[1]), tensor(expected.shape[1])
rows, out = x.astype(np.float32), np.zeros(expected.shape, np.float32)
bench = ctypes.CDLL(sys.argv[2]).bench
run = ctypes.cast(api.LiteRtRunCompiledModel, Pointer)
def loop():
    row_bytes = [Size(4 * array.shape[1]) for array in (x, expected)]
    arrays = [array.ctypes.data_as(Pointer) for array in (rows, out)]
    if bench(run, compiled, in_buffer, out_buffer, in_at, out_at, *arrays, Size(len(x)), *row_bytes):
        sys.exit("LiteRtRunCompiledModel failed")
    return out
tell(one, many, one, many, loop, version=version("ai-edge-litert"))
"""

LITERT_LOOP = """
#include <stddef.h>
#include <string.h>
typedef int run_function(void *model, size_t signature, size_t n_in, void **in, size_t n_out, void **out);
int bench(run_function *run, void *model, void *in, void *out, void *in_at, const void *out_at,
          const char *x, char *y, size_t n, size_t x_bytes, size_t y_bytes);
int bench(run_function *run, void *model, void *in, void *out, void *in_at, const void *out_at,
          const char *x, char *y, size_t n, size_t x_bytes, size_t y_bytes)
{
    for (size_t i = 0u; i < n; i++) {
        int status;

        memcpy(in_at, &x[i * x_bytes], x_bytes);
        status = run(model, 0u, 1u, &in, 1u, &out);
        if (status != 0) {
            return status;
        }
        memcpy(&y[i * y_bytes], out_at, y_bytes);
    }
    return 0;
}
"""

LCE_CODE = """
from larq_compute_engine.tflite.python.interpreter import Interpreter
run = Interpreter(open(f"{folder}/model.lce", "rb").read(), num_threads=1)
single, batch = x[:1].astype(np.float32), x.astype(np.float32)
one, many = (lambda: run.predict(single)), (lambda: run.predict(batch))
tell(one, many, one, many)
"""

CONVERT_CODE = """
import sys
import tensorflow as tf, larq
model = tf.keras.models.load_model(f"{sys.argv[1]}/larq/model.keras", compile=False)
open(f"{sys.argv[1]}/model.tflite", "wb").write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
try:
    import larq_compute_engine as lce
except ImportError:
    sys.exit(0)
open(f"{sys.argv[1]}/model.lce", "wb").write(lce.convert_keras_model(model))
"""

HARNESS = """
#include "{name}.h"
void bench(const uint32_t *x, unsigned n, int32_t *logits);
void bench(const uint32_t *x, unsigned n, int32_t *logits)
{{
    for (unsigned i = 0u; i < n; i++) {{
        (void){name}_logits(x + i * {NAME}_INPUT_WORDS, logits + i * {NAME}_N_LOGITS);
    }}
}}
"""

BATCH_HARNESS = """
#include "{name}_batch.h"
void bench(const uint8_t *x, unsigned n, int32_t *logits);
void bench(const uint8_t *x, unsigned n, int32_t *logits)
{{
    for (unsigned i = 0u; i < n; i++) {{
        {name}_batch_logits(x + i * {NAME}_BATCH_ROW_BYTES, 1u, logits + i * {NAME}_BATCH_N_LOGITS);
    }}
}}
"""

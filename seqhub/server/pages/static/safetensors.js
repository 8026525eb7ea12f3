// Reader of safetensors files: a header in JSON, then the values of the tensors.

const SIZES = { F64: 8, F32: 4, F16: 2, BF16: 2 };
const MAX_HEADER = 2_000_000; // bytes

/**
 * Return the tensors of a file as a Map: name -> { shape, data }; tensors that are not of floating point are omitted.
 *
 * Throws an Error with one line for a file that is not valid.
 */
export function readTensors(buffer) {
  const view = new DataView(buffer);
  const length = buffer.byteLength < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(length >= 2 && length <= buffer.byteLength - 8)) throw new Error("model.safetensors is not a safetensors file");
  if (length > MAX_HEADER) throw new Error(`the header of model.safetensors has ${length} bytes; at most ${MAX_HEADER} are read`);
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 8, length)));
  } catch {
    throw new Error("the header of model.safetensors is not JSON");
  }
  const start = 8 + length;
  const tensors = new Map();
  for (const [name, fields] of Object.entries(header ?? {})) {
    const size = Object.hasOwn(SIZES, fields?.dtype) ? SIZES[fields.dtype] : 0;
    if (name === "__metadata__" || !size) continue;
    const [from, to] = areSizes(fields.data_offsets) ? fields.data_offsets : [NaN, NaN];
    const count = areSizes(fields.shape) ? fields.shape.reduce((product, each) => product * each, 1) : NaN;
    if (!(from >= 0 && to - from === count * size && start + to <= buffer.byteLength)) {
      throw new Error(`tensor ${name.slice(0, 80)} of model.safetensors has a shape that does not fit its data`);
    }
    tensors.set(name, { shape: fields.shape, data: numbers(view, start + from, count, fields.dtype) });
  }
  return tensors;
}

function areSizes(value) {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}

function numbers(view, offset, count, dtype) {
  const values = new Float64Array(count);
  for (let place = 0; place < count; place++) {
    const at = offset + place * SIZES[dtype];
    if (dtype === "F32") values[place] = view.getFloat32(at, true);
    else if (dtype === "F64") values[place] = view.getFloat64(at, true);
    else values[place] = dtype === "F16" ? half(view.getUint16(at, true)) : bfloat(view.getUint16(at, true));
  }
  return values;
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
}

const bits32 = new DataView(new ArrayBuffer(4));

function bfloat(bits) {
  bits32.setUint32(0, bits * 65536);
  return bits32.getFloat32(0);
}

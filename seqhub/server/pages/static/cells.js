// Recurrent models of seqhub, computed in double precision: the families seqhub_recurrent and seqhub_hs97.
//
// A test compares states and logits with PyTorch. Inputs are ids of symbols, or vectors of real values.

export const MAX_STEPS = 2000;
const MAX_OPERATIONS = 2e9; // multiplications of one run

const RECURRENT = {
  cell: "lstm", inputs: "one_hot", vocab_size: 9, embedding_size: null, num_features: null, hidden_size: 8,
  num_hidden_layers: 1, bidirectional: false, pooling: "last", logistic_outputs: false, pad_token_id: 0,
};
const BLOCKS = {
  ...RECURRENT, cell: "lstm_hs97", block_size: 1, connectivity: "full", output_gates: true, squash_input: "g2",
  squash_output: "h1", biased_units: "all",
};
const GATES = { rnn_tanh: 1, rnn_relu: 1, gru: 3, lstm: 4 };

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Return the fields of a config with the defaults of its family; throw an Error for a family that is not known. */
export function completeConfig(config) {
  const type = config?.model_type;
  const isBlocks = type === "seqhub_hs97" || (type === "seqhub_recurrent" && config.cell === "lstm_hs97");
  const fields = { ...(isBlocks ? BLOCKS : RECURRENT), ...config, isBlocks };
  if (type !== "seqhub_recurrent" && type !== "seqhub_hs97") {
    throw new Error(`model_type ${JSON.stringify(type ?? null)} is not known here; must be seqhub_recurrent or seqhub_hs97`);
  }
  if (isBlocks && !(Number.isInteger(fields.block_size) && fields.block_size >= 1 && fields.hidden_size % fields.block_size === 0)) {
    throw new Error(`block_size of config.json must divide hidden_size`);
  }
  if (!isBlocks && !Object.hasOwn(GATES, fields.cell)) {
    throw new Error(`cell ${JSON.stringify(fields.cell)} is not known here; must be ${Object.keys(GATES).join(", ")}`);
  }
  for (const name of ["hidden_size", "num_hidden_layers", "vocab_size"]) {
    if (!(Number.isInteger(fields[name]) && fields[name] >= 1)) throw new Error(`${name} of config.json must be a whole number from 1`);
  }
  return fields;
}

/**
 * Make the model of a config and its tensors.
 *
 * model.run(inputs) returns { layers, outputs, steps }: `layers` has for each layer its hidden states, cell states and
 * gates, as arrays of one Float64Array for each step (cell states and gates are null where the cell has none).
 * `outputs` has logits: after each step, or once for the whole sequence in `model.isWhole`.
 */
export function makeModel(config, tensors) {
  const fields = completeConfig(config);
  const prefix = [...tensors.keys()].some((name) => name.startsWith("model.")) ? "model." : "";
  const take = (name, ...shape) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`model.safetensors has no tensor ${name}`);
    if (tensor.shape.length !== shape.length || shape.some((size, axis) => size !== null && size !== tensor.shape[axis])) {
      throw new Error(`tensor ${name} has the shape (${tensor.shape}), which does not fit config.json`);
    }
    return tensor.data;
  };
  const hidden = fields.hidden_size;
  const hasPadding = fields.pad_token_id !== null;
  const symbols = fields.vocab_size - hasPadding;
  const width = fields.inputs === "one_hot" ? symbols : fields.inputs === "embedding" ? fields.embedding_size : fields.num_features;
  const embedding = fields.inputs === "embedding" ? take(`${prefix}embed_tokens.weight`, fields.vocab_size, width) : null;
  const layers = [];
  const directions = fields.bidirectional ? 2 : 1;
  let size = width;
  for (let index = 0; index < fields.num_hidden_layers; index++) {
    const names = ["recurrence", "recurrence_reverse"].slice(0, directions);
    layers.push(names.map((name) => direction(fields, `${prefix}layers.${index}.${name}`, size, take, tensors)));
    size = hidden * directions;
  }
  const readsInputs = fields.isBlocks && fields.connectivity === "below";
  const outputSize = size + (readsInputs ? width : 0);
  const headName = tensors.has("lm_head.weight") ? "lm_head" : tensors.has("classifier.weight") ? "classifier" : null;
  const head = headName && {
    weight: take(`${headName}.weight`, null, outputSize),
    classes: tensors.get(`${headName}.weight`).shape[0],
    bias: tensors.get(`${headName}.bias`)?.data ?? null,
  };
  const isCausal = headName === "lm_head";
  const isByStep = isCausal || /ForTokenClassification$/.test(config.architectures?.[0] ?? "");
  const isWhole = head !== null && !isByStep && fields.bidirectional;
  const operations = layers.flat().reduce((sum, each) => sum + each.weights, 0) + (head ? head.weight.length : 0);

  function vector(input) {
    if (fields.inputs === "values") {
      if (input.length !== width) throw new Error(`a step has ${input.length} values; the model reads ${width}`);
      return Float64Array.from(input);
    }
    if (!(Number.isInteger(input) && input >= 0 && input < fields.vocab_size)) throw new Error(`id ${input} is not in the vocabulary`);
    if (embedding) return embedding.slice(input * width, (input + 1) * width);
    const one = new Float64Array(width);
    const column = hasPadding ? (((input - fields.pad_token_id - 1) % fields.vocab_size) + fields.vocab_size) % fields.vocab_size : input;
    if (column < width) one[column] = 1;
    return one;
  }

  function run(inputs) {
    const steps = inputs.length;
    if (!steps) throw new Error("the sequence is empty");
    const most = Math.min(MAX_STEPS, Math.max(1, Math.floor(MAX_OPERATIONS / Math.max(1, operations))));
    if (steps > most) throw new Error(`the sequence has ${steps} steps; at most ${most} are computed with this model`);
    const read = inputs.map(vector);
    let below = read;
    const found = [];
    for (const pair of layers) {
      const parts = pair.map((each, back) => (back ? reversed(each(below.slice().reverse())) : each(below)));
      const joined = (name) => parts[0][name] && below.map((_, step) => concat(parts.map((part) => part[name][step])));
      found.push({ hidden: joined("hidden"), cell: joined("cell"), gates: joined("gates") });
      below = found.at(-1).hidden;
    }
    const top = readsInputs ? below.map((states, step) => concat([states, read[step]])) : below;
    let outputs = null;
    if (head) {
      const pooled = isByStep ? top : isWhole ? [pool(top, fields.pooling, hidden).at(-1)] : pool(top, fields.pooling, null);
      outputs = pooled.map((states) => product(head.weight, states, head.bias, new Float64Array(head.classes)));
    }
    return { layers: found, outputs, steps };
  }

  const names = isCausal
    ? Array.from({ length: symbols }, (_, column) => (hasPadding ? (column + fields.pad_token_id + 1) % fields.vocab_size : column))
    : Array.from({ length: head?.classes ?? 0 }, (_, label) => String(config.id2label?.[label] ?? `LABEL_${label}`));
  return { run, fields, width, isCausal, isByStep, isWhole, names, outputs: describe(config, fields, head, isCausal) };
}

/** Return the unit of the outputs: "softmax", "logistic" or "value". */
function describe(config, fields, head, isCausal) {
  if (fields.logistic_outputs || config.problem_type === "multi_label_classification") return "logistic";
  const isNumber = config.problem_type === "regression" || (config.problem_type == null && head?.classes === 1);
  return isNumber && !isCausal ? "value" : "softmax";
}

/** Return probabilities of logits, or the logits themselves where the outputs are values. */
export function probabilities(logits, unit) {
  if (unit === "value") return logits;
  if (unit === "logistic") return logits.map(sigmoid);
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Return pooled states of the steps so far, after each step; with `split`, the last step of two directions. */
function pool(states, pooling, split) {
  if (pooling === "last" && split === null) return states;
  const total = new Float64Array(states[0].length).fill(pooling === "max" ? -Infinity : 0);
  return states.map((each, step) => {
    if (pooling === "last") return concat([each.subarray(0, split), states[0].subarray(split)]);
    each.forEach((value, unit) => { total[unit] = pooling === "max" ? Math.max(total[unit], value) : total[unit] + value; });
    return pooling === "max" ? total.slice() : total.map((value) => value / (step + 1));
  });
}

/** Return a function that runs one direction of a layer over vectors. */
function direction(fields, name, width, take, tensors) {
  const size = fields.hidden_size;
  if (fields.isBlocks) return blocks(fields, name, width, take, tensors);
  const rows = GATES[fields.cell] * size;
  const [input, hidden] = [take(`${name}.weight_ih_l0`, rows, width), take(`${name}.weight_hh_l0`, rows, size)];
  const [inputBias, hiddenBias] = [take(`${name}.bias_ih_l0`, rows), take(`${name}.bias_hh_l0`, rows)];
  const step = { lstm, gru, rnn_tanh: plain(Math.tanh), rnn_relu: plain((x) => Math.max(0, x)) }[fields.cell];
  const run = (vectors) => {
    const found = { hidden: [], cell: fields.cell === "lstm" ? [] : null, gates: null };
    let [h, c] = [new Float64Array(size), new Float64Array(size)];
    for (const vector of vectors) {
      const below = product(input, vector, inputBias, new Float64Array(rows));
      const before = product(hidden, h, hiddenBias, new Float64Array(rows));
      [h, c] = step(below, before, h, c, size);
      found.hidden.push(h);
      found.cell?.push(c);
    }
    return found;
  };
  return Object.assign(run, { weights: input.length + hidden.length });
}

function lstm(below, before, h, c, size) {
  const [hidden, cell] = [new Float64Array(size), new Float64Array(size)];
  const net = (gate, unit) => below[gate * size + unit] + before[gate * size + unit];
  for (let unit = 0; unit < size; unit++) {
    cell[unit] = sigmoid(net(1, unit)) * c[unit] + sigmoid(net(0, unit)) * Math.tanh(net(2, unit));
    hidden[unit] = sigmoid(net(3, unit)) * Math.tanh(cell[unit]);
  }
  return [hidden, cell];
}

function gru(below, before, h, c, size) {
  const hidden = new Float64Array(size);
  for (let unit = 0; unit < size; unit++) {
    const reset = sigmoid(below[unit] + before[unit]);
    const keep = sigmoid(below[size + unit] + before[size + unit]);
    const candidate = Math.tanh(below[2 * size + unit] + reset * before[2 * size + unit]);
    hidden[unit] = candidate + keep * (h[unit] - candidate);
  }
  return [hidden, c];
}

function plain(squash) {
  return (below, before, h, c) => [below.map((value, unit) => squash(value + before[unit])), c];
}

/** Return a function that runs memory cell blocks of Hochreiter & Schmidhuber (1997) over vectors. */
function blocks(fields, name, width, take, tensors) {
  const size = fields.hidden_size;
  const perGate = fields.block_size;
  const count = size / perGate;
  const units = size + count * (fields.output_gates ? 2 : 1);
  const input = take(`${name}.weight_ih_l0`, units, width);
  const back = fields.connectivity === "full" ? take(`${name}.weight_hh_l0`, units, units) : null;
  const bias = new Float64Array(units);
  const given = tensors.get(`${name}.bias_l0`)?.data;
  if (given && given.length > units) throw new Error(`tensor ${name}.bias_l0 does not fit config.json`);
  if (given) bias.set(given, units - given.length); // of all units, or of the gates, which are the last ones
  const run = (vectors) => {
    const found = { hidden: [], cell: [], gates: [] };
    let states = new Float64Array(size);
    let active = new Float64Array(units);
    for (const vector of vectors) {
      const net = product(input, vector, bias, new Float64Array(units));
      const sums = back ? product(back, active, net, new Float64Array(units)) : net;
      states = states.slice();
      active = sums.map(sigmoid);
      const gates = active.slice(size);
      for (let unit = 0; unit < size; unit++) {
        const block = Math.floor(unit / perGate);
        states[unit] += gates[block] * (fields.squash_input === "g1" ? active[unit] : 4 * active[unit] - 2);
        const output = fields.squash_output === "id" ? states[unit] : 2 * sigmoid(states[unit]) - 1;
        active[unit] = fields.output_gates ? gates[count + block] * output : output;
      }
      found.hidden.push(active.slice(0, size));
      found.cell.push(states);
      found.gates.push(gates);
    }
    return found;
  };
  return Object.assign(run, { weights: input.length + (back ? back.length : 0) });
}

/** Write the product of a matrix, given by rows, with a vector into `sums`, and add `bias`. */
function product(matrix, vector, bias, sums) {
  const width = vector.length;
  for (let row = 0; row < sums.length; row++) {
    let sum = bias ? bias[row] : 0;
    for (let column = 0, at = row * width; column < width; column++) sum += matrix[at + column] * vector[column];
    sums[row] = sum;
  }
  return sums;
}

function concat(parts) {
  if (parts.length === 1) return parts[0];
  const joined = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function reversed(found) {
  for (const states of Object.values(found)) states?.reverse();
  return found;
}

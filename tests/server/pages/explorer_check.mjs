// Run the modules of the explorer on models in folders, and print states and logits as JSON.
//
//     node explorer_check.mjs STATIC FOLDER
//
// FOLDER has a folder for each model, with config.json, model.safetensors and inputs.json.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, models] = process.argv.slice(2);
const { makeModel, probabilities } = await import(pathToFileURL(join(folder, "cells.js")));
const { readTensors } = await import(pathToFileURL(join(folder, "safetensors.js")));
const { readVocabulary } = await import(pathToFileURL(join(folder, "vocabulary.js")));

const results = {};
for (const name of readdirSync(models)) {
  const read = (file) => readFileSync(join(models, name, file));
  const parse = (file) => JSON.parse(read(file));
  try {
    const bytes = read("model.safetensors");
    const model = makeModel(parse("config.json"), readTensors(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
    const inputs = parse("inputs.json");
    const ids = inputs.text === undefined ? inputs.steps : readVocabulary(parse("tokenizer.json"), model.fields.pad_token_id).encode(inputs.text);
    const found = model.run(ids);
    results[name] = {
      layers: found.layers.map((layer) => Object.fromEntries(Object.entries(layer).map(([key, steps]) => [key, steps && steps.map((each) => [...each])]))),
      outputs: found.outputs && found.outputs.map((each) => [...each]),
      probabilities: found.outputs && found.outputs.map((each) => [...probabilities(each, model.outputs)]),
      names: model.names,
      ids: model.fields.inputs === "values" ? null : ids,
    };
  } catch (error) {
    results[name] = { error: error.message };
  }
}
console.log(JSON.stringify(results));

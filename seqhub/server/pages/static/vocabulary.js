// Vocabulary of a tokenizer.json with one id for each symbol or word, and the reader of real values.

/** Return { entries, encode, names, isWords } of a tokenizer; throw an Error for a tokenizer of another form. */
export function readVocabulary(tokenizer, padId) {
  const model = tokenizer?.model;
  const kind = tokenizer?.pre_tokenizer?.type;
  if (model?.type !== "WordLevel" || typeof model.vocab !== "object" || !["Split", "WhitespaceSplit"].includes(kind)) {
    throw new Error("tokenizer.json is not a vocabulary of symbols or words, which the explorer needs");
  }
  const ids = new Map(Object.entries(model.vocab ?? {}).filter(([, id]) => Number.isInteger(id)));
  const special = new Set((tokenizer.added_tokens ?? []).filter((token) => token?.special).map((token) => token.id));
  const isWords = kind === "WhitespaceSplit";
  const entries = [...ids].sort((a, b) => a[1] - b[1]).filter(([, id]) => id !== padId && !special.has(id)).map(([entry]) => entry);
  const known = new Set(entries);
  const unknown = ids.get(model.unk_token);
  const encode = (text) => {
    const pieces = isWords ? text.split(/\s+/).filter(Boolean) : [...text];
    return pieces.map((piece, place) => {
      const id = known.has(piece) ? ids.get(piece) : unknown;
      if (id === undefined) {
        throw new Error(`${isWords ? "word" : "symbol"} ${JSON.stringify(piece)} at position ${place} is not in the vocabulary`);
      }
      return id;
    });
  };
  return { entries, encode, names: new Map([...ids].map(([entry, id]) => [id, entry])), isWords };
}

/** Return vectors of a text such as "0.5 1; 0.2 0": steps are separated by semicolons or lines, values by spaces or commas. */
export function readValues(text, width) {
  const steps = text.split(/[;\n]/).map((step) => step.trim()).filter(Boolean);
  return steps.map((step, place) => {
    const values = step.split(/[\s,]+/).filter(Boolean).map(Number);
    if (values.length !== width || !values.every(Number.isFinite)) {
      throw new Error(`step ${place} is ${JSON.stringify(step.slice(0, 40))}; it must have ${width} numbers`);
    }
    return values;
  });
}

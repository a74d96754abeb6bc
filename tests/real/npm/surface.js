// What callers of OpenAI's official npm SDK do. Usage: node surface.js URL MODEL TASK; prints what came as JSON.
// The SDK is found by NODE_PATH.
"use strict";
// node 18 has File, experimental and not where the SDK looks for it.
globalThis.File ??= require("node:buffer").File;
const OpenAI = require("openai");
const { toFile } = OpenAI;

const [url, model, task] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-any", maxRetries: 2 });

async function all(stream) {
  const found = [];
  for await (const one of stream) found.push(one);
  return found;
}

async function refusal(call) {
  try {
    return { answered: await call() };
  } catch (error) {
    const { status, code, type, param, headers } = error;
    return { name: error.constructor.name, status, code, type, param, retry: headers?.get("x-should-retry") ?? null };
  }
}

const user = (content) => [{ role: "user", content }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

const tasks = {
  async chat(text) {
    const wanted = { model, messages: user(text) };
    const { data, response } = await client.chat.completions.create(wanted).withResponse();
    const parts = await all(await client.chat.completions.create({ ...wanted, stream: true }));
    const runner = client.chat.completions.stream(wanted);
    return {
      whole: data.choices[0].message.content,
      target: response.headers.get("x-parley-target"),
      streamed: parts.map((part) => part.choices[0]?.delta?.content ?? "").join(""),
      final: (await runner.finalChatCompletion()).choices[0].message.content,
    };
  },

  async tools() {
    const tools = [{ type: "function", function: { name: "get_weather", description: "d", parameters } }];
    const wanted = { model, messages: user("hi"), tools };
    const { message, finish_reason } = (await client.chat.completions.create(wanted)).choices[0];
    const runner = client.chat.completions.stream(wanted);
    const done = [];
    runner.on("tool_calls.function.arguments.done", (call) => done.push([call.name, JSON.parse(call.arguments)]));
    await runner.done();
    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "sunny" };
    const then = await client.chat.completions.create({ ...wanted, messages: [...wanted.messages, message, result] });
    return { finish_reason, call: message.tool_calls[0].function, done, then: then.choices[0].message.content };
  },

  async responses(text) {
    const wanted = { model, input: text };
    const first = await client.responses.create(wanted);
    const events = await all(await client.responses.create({ ...wanted, stream: true }));
    const again = await client.responses.create({ ...wanted, previous_response_id: first.id });
    const items = await all(client.responses.inputItems.list(again.id, { order: "asc", limit: 2 }));
    const stored = await client.responses.retrieve(first.id);
    await client.responses.delete(first.id);
    return {
      text: first.output_text,
      types: events.map((event) => event.type).filter((type) => type !== "response.output_text.delta"),
      numbers: events.map((event) => event.sequence_number),
      streamed: events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join(""),
      again: again.output_text,
      roles: items.map((item) => item.role),
      stored: stored.output_text,
      gone: await refusal(() => client.responses.retrieve(first.id)),
    };
  },

  async conversations(text) {
    const items = [{ role: "user", content: [{ type: "input_text", text: "before" }] }];
    const made = await client.conversations.create({ metadata: { a: "b" }, items });
    await client.responses.create({ model, input: text, conversation: made.id });
    const listed = await all(client.conversations.items.list(made.id, { order: "asc", limit: 2 }));
    const one = await client.conversations.items.retrieve(listed[0].id, { conversation_id: made.id });
    await client.conversations.items.delete(one.id, { conversation_id: made.id });
    const updated = await client.conversations.update(made.id, { metadata: { c: "d" } });
    const { deleted } = await client.conversations.delete(made.id);
    return { roles: listed.map((item) => item.role), one: one.content[0].text, metadata: updated.metadata, deleted };
  },

  async embeddings(text) {
    // Without encoding_format the SDK asks for base64 and gives numbers; asked for by name the text comes as it is.
    const plain = await client.embeddings.create({ model, input: text, encoding_format: "float" });
    const packed = await client.embeddings.create({ model, input: text });
    const raw = await client.embeddings.create({ model, input: text, encoding_format: "base64" });
    return { plain: plain.data[0].embedding, packed: packed.data[0].embedding, raw: raw.data[0].embedding };
  },

  async completions(text) {
    const whole = await client.completions.create({ model, prompt: text });
    const parts = await all(await client.completions.create({ model, prompt: text, stream: true }));
    return { whole: whole.choices[0].text, streamed: parts.map((part) => part.choices[0].text).join("") };
  },

  async media(text) {
    const made = await client.images.generate({ model, prompt: text, response_format: "b64_json" });
    const image = await toFile(Buffer.from(made.data[0].b64_json, "base64"), "a.png", { type: "image/png" });
    const edited = await client.images.edit({ model, prompt: text, image: [image, image], response_format: "b64_json" });
    const events = await all(await client.images.generate({ model, prompt: text, stream: true, partial_images: 1 }));
    const spoken = await client.audio.speech.create({ model, voice: "alloy", input: text });
    const sound = await toFile(Buffer.from(await spoken.arrayBuffer()), "a.wav", { type: "audio/wav" });
    const written = await client.audio.transcriptions.create({ model, file: sound });
    const heard = await all(await client.audio.transcriptions.create({ model, file: sound, stream: true }));
    const judged = await client.moderations.create({ model, input: text });
    return {
      image: made.data[0].b64_json.slice(0, 11),
      edited: edited.data[0].b64_json.slice(0, 11),
      events: events.map((event) => event.type),
      kind: spoken.headers.get("content-type"),
      written: written.text,
      heard: heard.at(-1).text,
      flagged: judged.results[0].flagged,
    };
  },

  async models() {
    const listed = await all(client.models.list());
    return { listed: listed.map((found) => found.id), one: (await client.models.retrieve(model)).id };
  },

  async errors() {
    const part = { bytes: 2, filename: "a.jsonl", mime_type: "application/jsonl", purpose: "batch" };
    return {
      upload: await refusal(() => client.uploads.create(part)),
      list: await refusal(() => all(client.vectorStores.list())),
      tune: await refusal(() => client.fineTuning.jobs.retrieve("j")),
      store: await refusal(() => client.vectorStores.create({})),
      nobody: await refusal(() => client.chat.completions.create({ model: "nobody", messages: user("x") })),
      field: await refusal(() => client.embeddings.create({ model, input: "x", dimensions: 0 })),
    };
  },
};

tasks[task](...process.argv.slice(5)).then(
  (found) => process.stdout.write(JSON.stringify(found)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);

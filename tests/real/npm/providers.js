// What callers of the official npm SDKs stream: tools and pictures, from many providers each.
// Usage: node providers.js URL SDK PNG MODEL...; prints what came of each model as JSON. The SDKs are found by NODE_PATH.
"use strict";
globalThis.File ??= require("node:buffer").File;

const [url, sdk, png, ...models] = process.argv.slice(2);
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const text = "What is it like?";

const callers = {
  openai() {
    const OpenAI = require("openai");
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-any", maxRetries: 0 });
    const stream = async (model, content, more) => {
      const runner = client.chat.completions.stream({ model, messages: [{ role: "user", content }], ...more });
      const { message, finish_reason } = (await runner.finalChatCompletion()).choices[0];
      const calls = (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
      return { text: message.content ?? "", calls, stop: finish_reason };
    };
    const tool = { type: "function", function: { name: "get_weather", parameters: schema } };
    return {
      tools: (model) => stream(model, text, { tools: [tool] }),
      image: (model) =>
        stream(model, [
          { type: "text", text },
          { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
        ]),
    };
  },

  anthropic() {
    const Anthropic = require("@anthropic-ai/sdk");
    const client = new Anthropic({ baseURL: url, apiKey: "sk-any", maxRetries: 0 });
    const stream = async (model, content, more) => {
      const runner = client.messages.stream({ model, max_tokens: 100, messages: [{ role: "user", content }], ...more });
      const message = await runner.finalMessage();
      const said = message.content.filter((block) => block.type === "text").map((block) => block.text);
      const calls = message.content.filter((block) => block.type === "tool_use").map((call) => [call.name, call.input]);
      return { text: said.join(""), calls, stop: message.stop_reason };
    };
    const source = { type: "base64", media_type: "image/png", data: png };
    return {
      tools: (model) => stream(model, text, { tools: [{ name: "get_weather", input_schema: schema }] }),
      image: (model) => stream(model, [{ type: "text", text }, { type: "image", source }]),
    };
  },

  genai() {
    const { GoogleGenAI } = require("@google/genai");
    const client = new GoogleGenAI({ apiKey: "any", httpOptions: { baseUrl: url } });
    const stream = async (model, parts, config) => {
      const found = { text: "", calls: [], stop: "" };
      const asked = { model, contents: [{ role: "user", parts }], config };
      for await (const piece of await client.models.generateContentStream(asked)) {
        for (const part of piece.candidates?.[0]?.content?.parts ?? []) {
          if (part.functionCall) found.calls.push([part.functionCall.name, part.functionCall.args]);
          else found.text += part.text ?? "";
        }
        found.stop = piece.candidates?.[0]?.finishReason ?? found.stop;
      }
      return found;
    };
    const functionDeclarations = [{ name: "get_weather", parametersJsonSchema: schema }];
    return {
      tools: (model) => stream(model, [{ text }], { tools: [{ functionDeclarations }] }),
      image: (model) => stream(model, [{ text }, { inlineData: { mimeType: "image/png", data: png } }]),
    };
  },

  ollama() {
    const { Ollama } = require("ollama");
    const client = new Ollama({ host: url });
    const stream = async (model, message, more) => {
      const found = { text: "", calls: [], stop: "" };
      const asked = { model, messages: [{ role: "user", content: text, ...message }], stream: true, ...more };
      for await (const piece of await client.chat(asked)) {
        found.text += piece.message.content ?? "";
        for (const call of piece.message.tool_calls ?? []) {
          found.calls.push([call.function.name, call.function.arguments]);
        }
        found.stop = piece.done_reason ?? found.stop;
      }
      return found;
    };
    const tool = { type: "function", function: { name: "get_weather", description: "d", parameters: schema } };
    return {
      tools: (model) => stream(model, {}, { tools: [tool] }),
      image: (model) => stream(model, { images: [png] }),
    };
  },
};

async function main() {
  const caller = callers[sdk]();
  const found = {};
  for (const model of models) {
    found[model] = {
      tools: await caller.tools(`${model}.tools/m`),
      image: await caller.image(`${model}.image/m`),
    };
  }
  process.stdout.write(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

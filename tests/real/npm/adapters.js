// Asks an adapter by OpenAI's own SDK: node adapters.js BASE_URL KEY MODEL TEXT; prints what it heard as JSON.
"use strict";
const OpenAI = require("openai").OpenAI;

async function main() {
  const [baseURL, apiKey, model, text] = process.argv.slice(2);
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const messages = [{ role: "user", content: text }];
  const whole = await client.chat.completions.create({ model, messages, temperature: 0 });
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  const pieces = [];
  for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta?.content ?? "");
  let refused = null;
  try {
    await client.chat.completions.create({ model: "nobody/nothing", messages });
  } catch (error) {
    refused = [error.status, error.code, error.param];
  }
  const answer = { whole: whole.choices[0].message.content, usage: whole.usage.total_tokens, pieces, refused };
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
  process.stderr.write(String(error.stack));
  process.exit(1);
});

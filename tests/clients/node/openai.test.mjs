// openai-node against a running server: TRAMMEL_URL, with the model that ships and an embedding model `bert`.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const url = process.env.TRAMMEL_URL;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const model = "trammel-tiny";
const messages = [{ role: "user", content: "What is the weather in Paris?" }];
const once = { model, messages, temperature: 0, max_tokens: 80 };
const parameters = {
  type: "object",
  properties: { city: { type: "string", maxLength: 12 }, unit: { enum: ["celsius", "fahrenheit"] } },
  required: ["city", "unit"],
  additionalProperties: false,
};
const weather = { type: "function", function: { name: "get_weather", description: "Get the weather", parameters } };
const time = { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } };
const Place = z.object({ city: z.string().max(12), days: z.number().int().min(1).max(9), sky: z.enum(["clear", "grey"]) });

async function runningRequests() {
  return (await (await fetch(`${url}/healthz`)).json()).running;
}

test("the list of models has ours, and it can be retrieved", async () => {
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes(model));
  assert.equal((await client.models.retrieve(model)).object, "model");
});

test("a chat completion has a text, a reason and a usage", async () => {
  const answer = await client.chat.completions.create({ ...once, max_tokens: 8 });
  assert.equal(typeof answer.choices[0].message.content, "string");
  assert.ok(["stop", "length"].includes(answer.choices[0].finish_reason));
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("a stream ends with its usage, where it is asked for", async () => {
  const stream = await client.chat.completions.create({
    ...once, max_tokens: 8, stream: true, stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.equal(chunks.filter((chunk) => chunk.choices[0]?.finish_reason).length, 1);
});

test("the stream helper gathers what it heard", async () => {
  const stream = client.chat.completions.stream({ ...once, max_tokens: 8 });
  let heard = "";
  stream.on("content", (delta) => (heard += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content ?? "", heard);
});

for (const [name, choice, expected] of [
  ["required", "required", ["get_weather", "get_time"]],
  ["a named function", { type: "function", function: { name: "get_time" } }, ["get_time"]],
  [
    "allowed tools",
    { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "get_weather" } }] } },
    ["get_weather"],
  ],
]) {
  test(`tool_choice ${name} gives calls of it and no prose`, async () => {
    const { choices } = await client.chat.completions.create({ ...once, tools: [weather, time], tool_choice: choice });
    assert.equal(choices[0].finish_reason, "tool_calls");
    assert.equal(choices[0].message.content, null);
    for (const call of choices[0].message.tool_calls) {
      assert.ok(expected.includes(call.function.name));
      assert.equal(typeof JSON.parse(call.function.arguments), "object");
    }
  });
}

test("calls that are streamed are numbered from 0 and add up to JSON", async () => {
  const stream = await client.chat.completions.create({ ...once, tools: [weather], tool_choice: "required", stream: true });
  const calls = [];
  for await (const chunk of stream) {
    for (const part of chunk.choices[0]?.delta.tool_calls ?? []) {
      if (part.index === calls.length) calls.push({ id: part.id, name: part.function.name, text: "" });
      assert.equal(part.index, calls.length - 1);
      calls.at(-1).text += part.function.arguments ?? "";
    }
  }
  assert.ok(calls.length >= 1);
  for (const call of calls) {
    assert.ok(call.id && call.name === "get_weather");
    assert.ok(["celsius", "fahrenheit"].includes(JSON.parse(call.text).unit));
  }
});

test("runTools calls a zod function and goes on to an answer", async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    ...once,
    tools: [
      zodFunction({
        name: "get_weather",
        description: "Get the weather for a city",
        parameters: z.object({ city: z.string() }),
        function: ({ city }) => { asked.push(city); return "clear"; },
      }),
    ],
    tool_choice: { type: "function", function: { name: "get_weather" } },
  });
  await runner.done();
  assert.ok(asked.length >= 1);
  assert.equal(typeof asked[0], "string");
  const roles = runner.messages.map((message) => message.role);
  assert.deepEqual(roles.slice(0, 3), ["user", "assistant", "tool"]);
});

test("parse gives what a zod schema describes", async () => {
  const { choices } = await client.chat.completions.parse({ ...once, response_format: zodResponseFormat(Place, "place") });
  assert.deepEqual(Place.parse(choices[0].message.parsed), choices[0].message.parsed);
});

test("a custom tool is called with a text", async () => {
  const { choices } = await client.chat.completions.create({
    ...once,
    tools: [{ type: "custom", custom: { name: "code", format: { type: "grammar", grammar: { syntax: "regex", definition: "[a-f]{3,6}" } } } }],
    tool_choice: "required",
  });
  assert.match(choices[0].message.tool_calls[0].custom.input, /^[a-f]{3,6}$/);
});

test("a response answers with a text, and goes on from an earlier one", async () => {
  const first = await client.responses.create({ model, input: "How are you?", max_output_tokens: 16 });
  assert.equal(typeof first.output_text, "string");
  const second = await client.responses.create({
    model, input: "And now?", previous_response_id: first.id, max_output_tokens: 16,
  });
  assert.equal((await client.responses.retrieve(second.id)).previous_response_id, first.id);
  const items = [];
  for await (const item of client.responses.inputItems.list(second.id)) items.push(item);
  assert.ok(items.length >= 3);
  await client.responses.delete(first.id);
  await assert.rejects(() => client.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test("a response calls a function, and answers its output", async () => {
  const tools = [{ type: "function", name: "get_weather", description: "Get the weather", parameters, strict: true }];
  const input = [{ role: "user", content: "What is the weather in Paris?" }];
  const asked = await client.responses.create({ model, input, tools, tool_choice: "required", temperature: 0 });
  const call = asked.output.find((item) => item.type === "function_call");
  assert.ok(JSON.parse(call.arguments).city);
  const output = { type: "function_call_output", call_id: call.call_id, output: "clear" };
  const told = await client.responses.create({
    model, input: [...input, ...asked.output.filter((item) => item === call), output], tools, tool_choice: "none", max_output_tokens: 20,
  });
  assert.equal(told.output[0].type, "message");
});

test("the events of a response come in order, and the helper gathers them", async () => {
  const stream = client.responses.stream({ model, input: "How are you?", max_output_tokens: 16 });
  const kinds = [];
  let heard = "";
  for await (const event of stream) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") heard += event.delta;
  }
  assert.equal(kinds[0], "response.created");
  assert.match(kinds.at(-1), /^response\.(completed|incomplete)$/);
  assert.equal((await stream.finalResponse()).output_text, heard);
});

test("responses.parse gives what a zod schema describes", async () => {
  const answer = await client.responses.parse({
    model, input: "A place", max_output_tokens: 80, text: { format: zodTextFormat(Place, "place") },
  });
  assert.deepEqual(Place.parse(answer.output_parsed), answer.output_parsed);
});

test("a text completion goes on, streamed too", async () => {
  const body = { model, prompt: "The weather is", max_tokens: 6, seed: 1 };
  assert.equal(typeof (await client.completions.create(body)).choices[0].text, "string");
  let heard = "";
  for await (const chunk of await client.completions.create({ ...body, stream: true })) heard += chunk.choices[0]?.text ?? "";
  assert.ok(heard.length > 0);
});

test("embeddings are the same as numbers and as base64, which the SDK asks for by itself", async () => {
  const [asBase64, asFloats] = await Promise.all([
    client.embeddings.create({ model: "bert", input: ["weather", "paris"] }),
    client.embeddings.create({ model: "bert", input: ["weather", "paris"], encoding_format: "float" }),
  ]);
  assert.equal(asBase64.data.length, 2);
  asBase64.data.forEach(({ embedding }, index) => {
    embedding.forEach((value, place) => assert.ok(Math.abs(value - asFloats.data[index].embedding[place]) < 1e-4));
  });
});

test("errors have the classes and the fields of the SDK", async () => {
  await assert.rejects(
    () => client.chat.completions.create({ ...once, model: "gpt-4o" }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model",
  );
  await assert.rejects(
    () => client.chat.completions.create({ ...once, temperature: 9 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature" && error.type === "invalid_request_error",
  );
  const locked = new OpenAI({ baseURL: `${process.env.TRAMMEL_LOCKED_URL}/v1`, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(
    () => locked.models.list(),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
  );
});

test("a stream that is aborted ends at once, here and at the server", async () => {
  const stream = await client.chat.completions.create({
    model, messages, max_tokens: 2000, logit_bias: { 2: -100 }, grammar: 'root ::= [a-z ]{4000}', stream: true,
  });
  let heard = 0;
  for await (const _ of stream) {
    heard += 1;
    if (heard === 3) stream.controller.abort();
  }
  assert.ok(heard < 50);
  for (let waited = 0; (await runningRequests()) > 0; waited += 1) {
    assert.ok(waited < 100, "the server goes on");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

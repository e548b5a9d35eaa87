// Vercel's AI SDK against a running server (TRAMMEL_URL): over chat completions, and over responses, its default for OpenAI.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = `${process.env.TRAMMEL_URL}/v1`;
const compatible = createOpenAICompatible({ name: "trammel", baseURL, supportsStructuredOutputs: true, includeUsage: true });
const openai = createOpenAI({ baseURL, apiKey: "none" });
const prompt = "What is the weather in Paris?";
const Place = z.object({ city: z.string().max(12), days: z.number().int().min(1).max(9), sky: z.enum(["clear", "grey"]) });
const limits = { maxOutputTokens: 80, temperature: 0, maxRetries: 0 };

function weather(asked) {
  return tool({
    description: "Get the weather for a city",
    inputSchema: z.object({ city: z.string().max(12) }),
    execute: async ({ city }) => {
      asked.push(city);
      return "clear";
    },
  });
}

for (const [api, model] of [
  ["openai-compatible", compatible("trammel-tiny")],
  ["openai, over responses", openai("trammel-tiny")],
  ["openai, over chat completions", openai.chat("trammel-tiny")],
]) {
  test(`${api}: a text with its usage`, async () => {
    const { text, usage } = await generateText({ ...limits, model, prompt: "How are you?", maxOutputTokens: 16 });
    assert.equal(typeof text, "string");
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  test(`${api}: a stream, and its usage at the end`, async () => {
    const { textStream, usage, finishReason } = streamText({ ...limits, model, prompt: "How are you?", maxOutputTokens: 16 });
    let heard = "";
    for await (const part of textStream) heard += part;
    assert.ok(heard.length > 0);
    assert.ok(["stop", "length"].includes(await finishReason));
    assert.ok((await usage).outputTokens > 0);
  });

  test(`${api}: a required tool is run and its result sent back`, async () => {
    const asked = [];
    const { steps } = await generateText({
      ...limits, model, prompt, tools: { weather: weather(asked) }, toolChoice: "required", stopWhen: stepCountIs(2),
    });
    assert.equal(steps.length, 2);
    assert.ok(asked.length >= 2 && asked.every((city) => typeof city === "string"));
  });

  test(`${api}: the same streamed`, async () => {
    const asked = [];
    const result = streamText({
      ...limits, model, prompt, tools: { weather: weather(asked) }, toolChoice: { type: "tool", toolName: "weather" },
    });
    for await (const part of result.fullStream) assert.notEqual(part.type, "error", JSON.stringify(part.error ?? ""));
    assert.ok(asked.length >= 1);
  });

  test(`${api}: an object of a zod schema`, async () => {
    const { output } = await generateText({ ...limits, model, prompt: "A place", output: Output.object({ schema: Place }) });
    assert.deepEqual(Place.parse(output), output);
  });

  test(`${api}: an error is the server's`, async () => {
    const wrong = api === "openai-compatible" ? compatible("gpt-4o") : openai("gpt-4o");
    await assert.rejects(
      () => generateText({ ...limits, model: wrong, prompt }),
      (error) => APICallError.isInstance(error) && error.statusCode === 404 && /does not exist/.test(error.message),
    );
  });
}

test("embeddings", async () => {
  const { embeddings } = await embedMany({ model: compatible.embeddingModel("bert"), values: ["weather", "paris"] });
  assert.equal(embeddings.length, 2);
});

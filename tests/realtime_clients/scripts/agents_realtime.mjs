// The Agents SDK for Node: a RealtimeSession with its WebSocket transport and its own defaults.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';
import { run, sleep, until } from './stage.mjs';

class Talk {
  constructor({ url, apiKey, model, name = '主持人', instructions = '' }, { tools = [], config } = {}) {
    const agent = new RealtimeAgent({ name, instructions, tools });
    this.session = new RealtimeSession(agent, { transport: 'websocket', model, config });
    this.connection = { url: `${url}?model=${encodeURIComponent(model)}`, apiKey };
    this.log = [];
    this.audio = 0;
    this.raw = [];
    const names = ['agent_start', 'agent_end', 'audio_start', 'audio_stopped', 'audio_interrupted',
      'agent_tool_start', 'agent_tool_end'];
    for (const each of names) this.session.on(each, (...args) => this.log.push({ each, args }));
    this.session.on('audio', ({ data }) => { this.audio += data.byteLength; });
    this.session.on('transport_event', (event) => this.raw.push(event));
    this.errors = [];
    this.session.on('error', ({ error }) => this.errors.push(error));
  }

  happened(name) {
    return this.log.filter(({ each }) => each === name);
  }

  // What the agent said in its turns, as the SDK tells it.
  outputs() {
    return this.happened('agent_end').map(({ args }) => args[2]);
  }

  async turns(count) {
    await until(() => this.outputs().length >= count, `${count} turns; ${this.told()}`);
  }

  told() {
    return JSON.stringify([this.raw.map((each) => each.type), this.errors]);
  }

  async speak(file, speed = 1) {
    const pcm = fs.readFileSync(file);
    for (let at = 0; at < pcm.length; at += 1920) { // 40 ms
      const piece = pcm.subarray(at, at + 1920);
      this.session.sendAudio(piece.buffer.slice(piece.byteOffset, piece.byteOffset + piece.length));
      await sleep(40 / speed);
    }
  }

  history() {
    return this.session.history.map(({ itemId, type, role, status, content, name, output }) => ({
      itemId, type, role, status, content, name, output,
    }));
  }
}

async function talking(options, more, work) {
  const talk = new Talk(options, more);
  await talk.session.connect(talk.connection);
  try {
    await until(() => talk.raw.some((each) => each.type === 'session.updated'), 'session.updated');
    const found = await work(talk);
    return { ...found, history: talk.history(), audio: talk.audio / 48_000,
      errors: talk.errors.map((error) => JSON.stringify(error)) };
  } finally {
    talk.session.close();
    await sleep(50);
  }
}

const text = ({ options, text: asked }) => talking(options, {}, async (talk) => {
  talk.session.sendMessage(asked);
  await talk.turns(1);
  return { outputs: talk.outputs() };
});

// By its own default: semantic_vad, and a transcript of what was heard.
const spoken = ({ options, path: file }) => talking(options, {}, async (talk) => {
  await talk.speak(file, 2);
  await talk.turns(1);
  await until(() => talk.history().some((item) => item.role === 'user' && item.content[0].transcript),
    `a transcript in ${JSON.stringify(talk.history())}`);
  return { outputs: talk.outputs() };
});

const interrupted = ({ options, path: file }) => talking(options, {}, async (talk) => {
  talk.session.sendMessage('讲个故事');
  await until(() => talk.audio > 0, 'audio');
  await sleep(2500); // a sentence is over: what was heard whole stays in the history
  await talk.speak(file);
  await talk.turns(2);
  await until(() => talk.raw.some((each) => each.type === 'conversation.item.retrieved'
    && each.item.role === 'assistant'), `the cut reply; ${talk.told()}`);
  return { outputs: talk.outputs(), interruptions: talk.happened('audio_interrupted').length };
});

// A button to stop: the SDK cancels, and truncates what was not heard.
const stopped = ({ options }) => talking(options, {}, async (talk) => {
  talk.session.sendMessage('讲个故事');
  await until(() => talk.audio > 0, 'audio');
  await sleep(500);
  talk.session.interrupt();
  await talk.turns(1);
  await until(() => talk.raw.some((each) => each.type === 'conversation.item.retrieved'),
    `the cut reply; ${talk.told()}`);
  const { status_details: details } = talk.raw.find((each) => each.type === 'response.done').response;
  talk.session.sendMessage('继续');
  await talk.turns(2);
  return { outputs: talk.outputs(), reason: details.reason };
});

const called = ({ options, name, description }) => {
  const cities = [];
  const weather = tool({
    name, description, parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => { cities.push(city); return '东风'; },
  });
  return talking(options, { tools: [weather] }, async (talk) => {
    talk.session.sendMessage('赤壁天气如何？');
    await talk.turns(2);
    return { outputs: talk.outputs(), cities,
      tools: talk.happened('agent_tool_end').map(({ args }) => args[3]) };
  });
};

// History is rewritten: an item is deleted, another is put in its place.
const rewritten = ({ options, text: asked }) => talking(options, {}, async (talk) => {
  talk.session.sendMessage(asked);
  await talk.turns(1);
  talk.session.updateHistory((history) => history.filter((item) => item.role !== 'user'));
  await until(() => talk.raw.some((each) => each.type === 'conversation.item.deleted'), 'deleted');
  return { outputs: talk.outputs() };
});

async function refused({ options }) {
  const talk = new Talk(options);
  try {
    await talk.session.connect(talk.connection);
  } catch (error) {
    return { message: error.message ?? String(error) };
  }
  throw new Error('it was let in');
}

// The events that the SDK's own schemas do not let pass: it would drop them in silence.
async function dropped({ events }) {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const module = path.resolve(here,
    '../node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs');
  const { parseRealtimeEvent } = await import(pathToFileURL(module));
  return events.filter((event) => parseRealtimeEvent({ data: JSON.stringify(event) }).isGeneric);
}

run({ text, spoken, interrupted, stopped, called, rewritten, refused, dropped });

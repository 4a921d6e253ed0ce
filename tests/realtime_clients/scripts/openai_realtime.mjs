// OpenAI's own client for Node: OpenAIRealtimeWS, GA's and the beta's.
import fs from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { OpenAIRealtimeWS as OpenAIRealtimeBetaWS } from 'openai/beta/realtime/ws';
import { run, sleep, until } from './stage.mjs';

const NAMES = {
  ga: { audio: 'response.output_audio', transcript: 'response.output_audio_transcript',
    added: 'conversation.item.added' },
  beta: { audio: 'response.audio', transcript: 'response.audio_transcript',
    added: 'conversation.item.created' },
};

class Talk {
  constructor({ baseURL, apiKey, model, dialect }) {
    this.dialect = dialect;
    this.names = NAMES[dialect];
    const client = new OpenAI({ baseURL, apiKey });
    const Socket = dialect === 'beta' ? OpenAIRealtimeBetaWS : OpenAIRealtimeWS;
    this.client = new Socket({ model }, client);
    this.events = [];
    this.errors = [];
    this.seen = 0;
    this.client.on('event', (event) => this.events.push(event));
    this.client.on('error', (error) => this.errors.push(error));
  }

  // The next event of that type that no earlier call has returned or passed.
  next(type) {
    return until(() => {
      while (this.seen < this.events.length) {
        const event = this.events[this.seen++];
        if (event.type === type) return event;
      }
      return null;
    }, `${type} among ${this.events.map((each) => each.type)}`);
  }

  all(type) {
    return this.events.filter((each) => each.type === type);
  }

  send(event) {
    this.client.send(event);
  }

  async configure(session) {
    this.send({ type: 'session.update',
      session: this.dialect === 'ga' ? { type: 'realtime', ...session } : session });
    return (await this.next('session.updated')).session;
  }

  detect(detection) {
    const transcription = { model: 'whisper-1' };
    return this.configure(this.dialect === 'ga'
      ? { audio: { input: { turn_detection: detection, transcription } } }
      : { turn_detection: detection, input_audio_transcription: transcription });
  }

  async ask(text) {
    this.send({ type: 'conversation.item.create',
      item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } });
    this.send({ type: 'response.create' });
  }

  async speak(path, speed = 1) {
    const pcm = fs.readFileSync(path);
    for (let at = 0; at < pcm.length; at += 1920) { // 40 ms
      this.send({ type: 'input_audio_buffer.append',
        audio: pcm.subarray(at, at + 1920).toString('base64') });
      await sleep(40 / speed);
    }
  }

  response({ id, status, status_details: details, output }) {
    const mine = (type) => this.all(type).filter((each) => each.response_id === id);
    const bytes = mine(`${this.names.audio}.delta`)
      .map((each) => Buffer.from(each.delta, 'base64').length);
    return { id, status, reason: details?.reason ?? null, output,
      said: mine(`${this.names.transcript}.delta`).map((each) => each.delta).join(''),
      seconds: bytes.reduce((sum, each) => sum + each, 0) / 48_000 };
  }

  async answer() {
    return this.response((await this.next('response.done')).response);
  }

  close() {
    const closed = new Promise((resolve) => this.client.socket.once('close', resolve));
    this.client.close();
    return closed;
  }
}

async function talking(options, work) {
  const talk = new Talk(options);
  try {
    const { session } = await talk.next('session.created');
    return { session, ...await work(talk), errors: talk.errors.map((each) => each.error?.code) };
  } finally {
    await talk.close();
  }
}

const text = ({ options, text: asked }) => talking(options, async (talk) => {
  await talk.ask(asked);
  return { answer: await talk.answer() };
});

const spoken = ({ options, path }) => talking(options, async (talk) => {
  await talk.detect({ type: 'server_vad', silence_duration_ms: 300 });
  await talk.speak(path, 4);
  const { item_id: item } = await talk.next('input_audio_buffer.speech_started');
  const answer = await talk.answer();
  const [heard] = talk.all('conversation.item.input_audio_transcription.completed');
  return { item, answer, heard: { item: heard.item_id, transcript: heard.transcript } };
});

const interrupted = ({ options, path }) => talking(options, async (talk) => {
  await talk.detect({ type: 'server_vad', silence_duration_ms: 300 });
  await talk.ask('讲个故事');
  const { item_id: item } = await talk.next(`${talk.names.audio}.delta`);
  await sleep(1000);
  const speaking = talk.speak(path);
  await talk.next('input_audio_buffer.speech_started');
  const cut = await talk.answer();
  talk.send({ type: 'conversation.item.truncate',
    item_id: item, content_index: 0, audio_end_ms: 1000 });
  await until(() => talk.all('conversation.item.truncated').length, 'truncated');
  talk.send({ type: 'conversation.item.retrieve', item_id: item });
  const [retrieved] = await until(() => {
    const found = talk.all('conversation.item.retrieved');
    return found.length ? found : null;
  }, 'retrieved');
  await speaking;
  await until(() => talk.all('response.done').length === 2, 'the answer');
  return { cut, kept: retrieved.item,
    answer: talk.response(talk.all('response.done')[1].response) };
});

const called = ({ options, tool }) => talking(options, async (talk) => {
  await talk.configure({ tools: [tool], tool_choice: 'auto' });
  await talk.ask('赤壁天气如何？');
  const [call] = (await talk.answer()).output;
  talk.send({ type: 'conversation.item.create',
    item: { type: 'function_call_output', call_id: call.call_id, output: '东风' } });
  talk.send({ type: 'response.create' });
  return { call, answer: await talk.answer() };
});

const cancelled = ({ options }) => talking(options, async (talk) => {
  await talk.ask('讲个故事');
  await talk.next(`${talk.names.audio}.delta`);
  talk.send({ type: 'response.cancel' });
  const cut = await talk.answer();
  talk.send({ type: 'response.cancel', event_id: 'again' });
  talk.send({ type: 'conversation.item.retrieve', item_id: 'item_none', event_id: 'unknown' });
  await until(() => talk.errors.length === 2, 'two errors');
  return { cut, causes: talk.errors.map((each) => each.error.event_id) };
});

async function refused({ options }) {
  const talk = new Talk(options);
  const [error] = await until(() => (talk.errors.length ? talk.errors : null), 'an error');
  return { name: error.constructor.name, message: error.message, events: talk.events.length };
}

run({ text, spoken, interrupted, called, cancelled, refused });

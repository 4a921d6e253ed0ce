// OpenAI's own client for Node against the platform. Prints what it found as one JSON object.
import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';

const [, , baseURL, apiKey, model, audioPath] = process.argv;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const found = {};

found.models = (await client.models.list()).data.map((each) => each.id);
found.model = (await client.models.retrieve(model)).id;

const messages = [{ role: 'user', content: '今夜会有东风吗？' }];
const whole = await client.chat.completions.create({ model, messages });
found.whole = whole.choices[0].message.content;

const stream = await client.chat.completions.create({
  model, messages, stream: true, stream_options: { include_usage: true },
});
found.streamed = '';
for await (const chunk of stream) {
  found.streamed += chunk.choices[0]?.delta?.content ?? '';
  found.tokens = chunk.usage?.completion_tokens ?? found.tokens;
}
const runner = client.chat.completions.stream({ model, messages });
found.helper = await runner.finalContent();

found.speech = {};
for (const response_format of ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm']) {
  const spoken = await client.audio.speech.create({
    model: 'tts-1', voice: 'alloy', input: '今夜会有东风吗？', response_format,
  });
  const bytes = Buffer.from(await spoken.arrayBuffer());
  found.speech[response_format] = {
    type: spoken.headers.get('content-type'), audio: bytes.toString('base64'),
  };
}

const file = () => toFile(fs.createReadStream(audioPath), 'speech.mp3');
found.json = (await client.audio.transcriptions.create({
  file: await file(), model: 'whisper-1',
})).text;
found.text = await client.audio.transcriptions.create({
  file: await file(), model: 'whisper-1', response_format: 'text',
});
found.segments = (await client.audio.transcriptions.create({
  file: await file(), model: 'whisper-1', response_format: 'verbose_json',
  timestamp_granularities: ['segment'],
})).segments.length;
found.deltas = '';
for await (const event of await client.audio.transcriptions.create({
  file: await file(), model: 'whisper-1', stream: true,
})) {
  if (event.type === 'transcript.text.delta') found.deltas += event.delta;
  else found.done = event.text;
}

const failure = async (work) => {
  try {
    await work();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code,
      param: error.param, id: typeof error.requestID };
  }
};
found.errors = {
  key: await failure(() => new OpenAI({ baseURL, apiKey: 'sk-no', maxRetries: 0 }).models.list()),
  model: await failure(() => client.models.retrieve('nothing')),
  voice: await failure(() => client.audio.speech.create({
    model: 'tts-1', voice: 'nobody', input: 'x',
  })),
  empty: await failure(async () => client.audio.transcriptions.create({
    file: await toFile(Buffer.alloc(0), 'empty.mp3'), model: 'whisper-1',
  })),
};
const aborting = await client.chat.completions.create({ model, messages, stream: true });
for await (const _ of aborting) break;
console.log(JSON.stringify(found));

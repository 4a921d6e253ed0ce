// The contract's own examples of the realtime interface, as they are written there but for
// host, token and dialect. What they would log or play is kept.
/* global WebSocket, atob */

const logged = [];
const log = (...words) => logged.push(words);

// "WebSocket连接测试", with the events of "客户端事件" sent once it is open.
function connect(url, token) {
  const ws = new WebSocket(url, ['realtime', `openai-insecure-api-key.${token}`]);

  ws.onopen = () => {
    log('连接已建立');
  };

  ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    log('收到事件:', data.type, data);
  };
  return ws;
}

const SESSION_UPDATE = {
  "type": "session.update",
  "session": {
    "instructions": "你是一个友好的AI助手",
    "voice": "longyingcui",
    "modalities": ["text", "audio"],
    "turn_detection": {
      "type": "server_vad",
      "threshold": 0.5,
      "prefix_padding_ms": 300,
      "silence_duration_ms": 200,
      "create_response": true
    }
  }
};

const ITEM_CREATE = {
  "type": "conversation.item.create",
  "item": {
    "type": "message",
    "role": "user",
    "content": [
      {
        "type": "input_text",
        "text": "你好，请介绍一下你自己。"
      }
    ]
  }
};

const RESPONSE_CREATE = {
  "type": "response.create",
  "response": {
    "modalities": ["text", "audio"],
    "instructions": "请用自然、友好的语调回应。"
  }
};

const RESPONSE_CANCEL = {
  "type": "response.cancel"
};

const AUDIO_CLEAR = {
  "type": "input_audio_buffer.clear"
};

const AUDIO_COMMIT = {
  "type": "input_audio_buffer.commit"
};

const appended = (base64_encoded_audio_data) => ({
  "type": "input_audio_buffer.append",
  "audio": base64_encoded_audio_data
});

const FORMATS = {
  "input_audio_format": "pcm16",
  "output_audio_format": "mp3"
};

// "实时对话应用"
class RealtimeChat {
  constructor(url) {
    this.ws = new WebSocket(url);
    this.setupEventHandlers();
  }

  setupEventHandlers() {
    this.ws.onmessage = (event) => {
      const data = JSON.parse(event.data);

      if (data.type === 'response.audio.delta') {
        this.playAudioDelta(data.delta);
      }
    };
  }

  sendText(text) {
    this.ws.send(JSON.stringify({
      type: 'conversation.item.create',
      item: {
        type: 'message',
        role: 'user',
        content: [{ type: 'input_text', text }]
      }
    }));

    this.ws.send(JSON.stringify({
      type: 'response.create'
    }));
  }
}

// The example leaves playing to its reader.
class AudibleChat extends RealtimeChat {
  bytes = 0;

  playAudioDelta(delta) {
    this.bytes += atob(delta).length;
  }
}

function until(ready, what) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 20_000;
    const look = () => {
      const found = ready();
      if (found) resolve(found);
      else if (Date.now() > deadline) reject(new Error(`waited in vain for ${what}`));
      else setTimeout(look, 20);
    };
    look();
  });
}

const events = (type) => logged.filter((each) => each[1] === type).map((each) => each[2]);

// What was received; the dialect is that of the first update, which has flat keys.
async function firstExample(url, token, audio) {
  const ws = connect(url, token);
  await until(() => logged.some((each) => each[0] === '连接已建立'), 'the connection');
  const send = (event) => ws.send(JSON.stringify(event));
  send(SESSION_UPDATE);
  await until(() => events('session.updated').length, 'session.updated');
  send(ITEM_CREATE);
  send(RESPONSE_CREATE);
  await until(() => events('response.done').length, 'response.done');
  for (const piece of audio) send(appended(piece));
  await until(() => events('response.done').length === 2, 'an answer to what was said');
  send(AUDIO_CLEAR);
  await until(() => events('input_audio_buffer.cleared').length, 'input_audio_buffer.cleared');
  send(ITEM_CREATE);
  send(RESPONSE_CREATE);
  await until(() => events('response.created').length === 3, 'a third response');
  send(RESPONSE_CANCEL);
  await until(() => events('response.done').length === 3, 'its end');
  ws.close();
  return { protocol: ws.protocol, kinds: logged.slice(1).map((each) => each[1]),
    updated: events('session.updated')[0].session,
    statuses: events('response.done').map((each) => each.response.status) };
}

// Turns by hand, and mp3: what else the contract describes.
async function otherSettings(url, token, audio) {
  const ws = connect(url, token);
  await until(() => events('session.created').length, 'session.created');
  const send = (event) => ws.send(JSON.stringify(event));
  const manual = { turn_detection: { type: 'none' } };
  send({ type: 'session.update', session: { ...FORMATS, ...manual } });
  await until(() => events('session.updated').length, 'session.updated');
  for (const piece of audio) send(appended(piece));
  send(AUDIO_COMMIT);
  await until(() => events('input_audio_buffer.committed').length, 'committed');
  send(RESPONSE_CREATE);
  await until(() => events('response.done').length, 'response.done');
  ws.close();
  return { updated: events('session.updated')[0].session,
    audio: events('response.audio.delta').map((each) => each.delta) };
}

async function secondExample(url, text) {
  const chat = new AudibleChat(url);
  await until(() => chat.ws.readyState === WebSocket.OPEN, 'the connection');
  chat.sendText(text);
  let before = 0;
  await until(() => chat.bytes > 48_000, 'audio');
  await until(() => {
    const still = chat.bytes === before;
    before = chat.bytes;
    return still;
  }, 'the end of the audio');
  return chat.bytes;
}

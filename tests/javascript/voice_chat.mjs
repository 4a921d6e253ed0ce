// The contract's own example of a voice call, where its way to set headers works: in Node,
// with the package ws. Prints what it gets as JSON lines.
import WebSocket from 'ws';

const [, , url, token, roleId, voiceUrl] = process.argv;

const connectVoiceChat = async () => {
  const socket = new WebSocket(url, {
    headers: { Authorization: `Bearer ${token}` }
  });

  socket.onopen = () => {
    // 发送语音消息
    const message = {
      role_id: Number(roleId), // 角色ID
      voice_url: voiceUrl,
      format: 'mp3'
    };
    socket.send(JSON.stringify(message));
  };

  socket.onmessage = (event) => {
    const response = JSON.parse(event.data);

    if (response.type === 'audio') {
      // 处理音频片段
      const audioData = atob(response.data);
      console.log(JSON.stringify({ bytes: audioData.length, final: response.is_final }));

      if (response.is_final) {
        socket.close();
      }
    } else if (response.type === 'error') {
      console.log(JSON.stringify({ error: response.data }));
      socket.close();
    }
  };

  socket.onclose = (event) => {
    console.log(JSON.stringify({ closed: event.code }));
  };

  socket.onerror = (error) => {
    console.log(JSON.stringify({ error: error.message }));
  };
};

connectVoiceChat();

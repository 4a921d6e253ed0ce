// The calls of the contract's own examples, as existing web clients make them. They are
// wrapped in functions that give back what the examples would log.
/* global fetch, axios, Audio, WebSocket */

async function voiceTypes() {
  return fetch('/api/voiceTypes')
    .then(response => response.json())
    .then(data => {
      if (data.code === 200) {
        return data.data;
      } else {
        throw new Error(data.message);
      }
    });
}

async function voiceTypesByAxios() {
  return axios.get('/api/voiceTypes').then(response => {
    if (response.data.code === 200) {
      return response.data.data;
    } else {
      throw new Error(response.data.message);
    }
  });
}

async function addRole(jwtToken, roleData) {
  return fetch('/api/role/add', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'Authorization': `Bearer ${jwtToken}`
    },
    body: JSON.stringify(roleData)
  })
    .then(response => response.json())
    .then(data => {
      if (data.code === 200) {
        return data.data.role_id;
      } else {
        throw new Error(data.message);
      }
    });
}

async function listRoles(jwtToken) {
  return axios.get('/api/role/list', {
    params: {
      page: 2,
      page_size: 5
    },
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  }).then(response => {
    if (response.data.code === 200) {
      return response.data.data;
    } else {
      throw new Error(response.data.message);
    }
  });
}

async function rolesOfUser(jwtToken, userId) {
  return fetch(`/api/role/user/${userId}?page=1&page_size=5`, {
    method: 'GET',
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  })
    .then(response => response.json())
    .then(data => {
      if (data.code === 200) {
        return data.data.list;
      } else {
        throw new Error(data.message);
      }
    });
}

async function updateRole(jwtToken, roleId, updateData) {
  return axios.put(`/api/role/${roleId}`, updateData, {
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  }).then(response => {
    if (response.data.code === 200) {
      return response.data.message;
    } else {
      throw new Error(response.data.message);
    }
  });
}

async function deleteRole(jwtToken, roleId) {
  return fetch(`/api/role/${roleId}`, {
    method: 'DELETE',
    headers: {
      'Authorization': `Bearer ${jwtToken}`
    }
  })
    .then(response => response.json())
    .then(data => {
      if (data.code === 200) {
        return data.message;
      } else {
        throw new Error(data.message);
      }
    });
}

// The examples' way to play a voice reply, told when the browser can play it.
function playVoice(voiceURL) {
  return new Promise((resolve, reject) => {
    const audioPlayer = document.createElement('audio');
    audioPlayer.src = voiceURL;
    audioPlayer.controls = true;
    audioPlayer.oncanplaythrough = () => resolve(audioPlayer.duration);
    audioPlayer.onerror = () => reject(new Error(`cannot play ${voiceURL}`));
    document.body.appendChild(audioPlayer);
    audioPlayer.load();
  });
}

// A browser cannot set headers on a WebSocket: the contract's subprotocol pair instead.
function ask(jwtToken, message) {
  return new Promise((resolve, reject) => {
    const url = `${location.origin.replace('http', 'ws')}/api/ws/chat`;
    const socket = new WebSocket(url, ['bearer', jwtToken]);
    socket.onopen = () => socket.send(JSON.stringify(message));
    socket.onmessage = (event) => {
      resolve(JSON.parse(event.data));
      socket.close();
    };
    socket.onerror = () => reject(new Error('WebSocket'));
  });
}

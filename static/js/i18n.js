// Every word of the page, Chinese and English, and how dates are written.

import { loadWord, saveWord } from "./store.js";

const listeners = new Set();
let current = loadWord("language", "zh") === "en" ? "en" : "zh";

/** "zh" or "en". */
export function language() {
  return current;
}

/** Changes it, for this visit and the next ones. */
export function setLanguage(value) {
  current = value;
  saveWord("language", value);
  document.documentElement.lang = value === "en" ? "en" : "zh-Hans";
  for (const listener of listeners) listener();
}

/** Calls `listener` when the language was changed. */
export function onLanguage(listener) {
  listeners.add(listener);
}

/** The text of a key, with `{name}` replaced. @throws where there is no such key */
export function t(key, values = {}) {
  const texts = TEXTS[key];
  if (!texts) throw new Error(`no text: ${key}`);
  return texts[current === "en" ? 1 : 0].replace(/(?<!\{)\{(\w+)\}(?!\})/g, (_, name) => values[name] ?? "");
}

const locale = () => (current === "en" ? "en" : "zh-CN");
const format = (options, date) => new Intl.DateTimeFormat(locale(), options).format(date);

/** "14:05" */
export function clockTime(iso) {
  return format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }, new Date(iso));
}

/** "今天", "昨天", else the date. */
export function day(iso) {
  const date = new Date(iso);
  const midnight = (value) => new Date(value).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(Date.now()) - midnight(date)) / 86_400_000);
  if (days === 0) return t("today");
  if (days === 1) return t("yesterday");
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return format({ year, month: "long", day: "numeric", weekday: "short" }, date);
}

/** The time today, else the day. */
export function ago(iso) {
  return day(iso) === t("today") ? clockTime(iso) : day(iso);
}

/** The day with its year. */
export function fullDate(iso) {
  return format({ year: "numeric", month: "long", day: "numeric" }, new Date(iso));
}

/** "12,345.6" */
export function number(value) {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(value);
}

const TEXTS = {
  title: ["梨园", "Liyuan"],
  brand: ["梨园", "Liyuan"],
  "brand.other": ["Liyuan", "梨园"],
  skip: ["跳到正文", "Skip to content"],
  you: ["你", "You"],
  today: ["今天", "Today"],
  yesterday: ["昨天", "Yesterday"],
  loading: ["正在请角色就位…", "Setting the stage…"],
  back: ["返回", "Back"],
  close: ["关闭", "Close"],
  cancel: ["取消", "Cancel"],
  delete: ["删除", "Delete"],
  retry: ["重试", "Try again"],
  send: ["发送", "Send"],
  stop: ["停止回复", "Stop the reply"],
  copy: ["复制", "Copy"],
  copied: ["已复制", "Copied"],
  account: ["账号：{name}", "Account: {name}"],

  "nav.label": ["主导航", "Main"],
  "nav.gallery": ["角色", "Characters"],
  "nav.new": ["创建角色", "New character"],
  "nav.conversations": ["对话", "Conversations"],
  "language.switch": ["Switch to English", "切换到中文"],
  "theme.auto": ["外观：跟随系统", "Theme: as the system"],
  "theme.light": ["外观：浅色", "Theme: light"],
  "theme.dark": ["外观：深色", "Theme: dark"],
  "lost.title": ["这里没有戏台", "No stage here"],
  "lost.text": ["地址可能写错了，或者这一页已经搬走。", "The address may be mistyped, or the page has moved."],

  "error.title": ["没能取到内容", "This did not load"],
  "error.network": ["连不上服务器。请检查网络后重试。", "The server cannot be reached. Check your connection and try again."],
  "error.server": ["服务器出了点问题，请稍后再试。", "The server had a problem. Please try again in a moment."],
  "session.expired": ["登录已过期，请重新登录。", "Your session has expired. Please log in again."],

  login: ["登录", "Log in"],
  "login.title": ["欢迎回来", "Welcome back"],
  "login.lead": ["角色们还记得上次说到哪儿。", "They remember where you left off."],
  "login.other": ["还没有账号？", "No account yet?"],
  logout: ["退出登录", "Log out"],
  register: ["注册", "Create account"],
  "register.title": ["入园", "Come in"],
  "register.lead": ["只要一个用户名和密码。", "All it takes is a name and a password."],
  "register.other": ["已有账号？", "Already have an account?"],
  username: ["用户名", "Username"],
  "username.hint": ["2–32 个字符，可用文字、数字和 . @ + - _", "2 to 32 characters: letters, digits and . @ + - _"],
  "username.missing": ["请填写用户名", "Enter your username"],
  password: ["密码", "Password"],
  "password.hint": ["至少 8 个字符，别用太常见的", "At least 8 characters, not a common one"],
  "password.missing": ["请填写密码", "Enter your password"],
  "password.short": ["密码至少 8 个字符", "The password needs at least 8 characters"],
  "password.show": ["显示密码", "Show password"],
  "password.hide": ["隐藏密码", "Hide password"],
  poster: ["一方戏台，万般人物。开口，便是开场。", "One stage, many characters. Speak, and the play begins."],

  "gallery.title": ["今晚想见谁？", "Whom will you meet tonight?"],
  "gallery.lead": ["挑一位，说句话，或者只是坐一会儿。", "Pick one, say something, or just sit a while."],
  "gallery.search": ["搜索角色", "Search characters"],
  "gallery.filter": ["筛选", "Filter"],
  "gallery.all": ["全部", "All"],
  "gallery.preset": ["预设", "Presets"],
  "gallery.mine": ["我的", "Mine"],
  "gallery.more": ["再来一些", "Show more"],
  "gallery.none": ["没找到", "Nobody found"],
  "gallery.none.text": ["没有与“{search}”相符的角色。换个词，或者自己写一位。", "No character matches “{search}”. Try another word, or write one yourself."],
  "gallery.empty.all": ["台上还没有人", "The stage is empty"],
  "gallery.empty.all.text": ["写下第一位角色吧。", "Write the first character."],
  "gallery.empty.preset": ["还没有预设角色", "No presets yet"],
  "gallery.empty.preset.text": ["管理员可以用 load_presets 命令载入。", "The operator loads them with the load_presets command."],
  "gallery.empty.mine": ["你还没有写过角色", "You have not written a character yet"],
  "gallery.empty.mine.text": ["给他一个名字、一段来历、一副嗓子。", "Give one a name, a story and a voice."],

  continue: ["接着聊", "Go on with"],
  "preview.user": ["你：{text}", "You: {text}"],
  "voice.message": ["［语音］", "[voice]"],
  "conversation.new": ["新的对话", "New conversation"],
  "conversation.empty": ["还没有开口", "Nothing said yet"],
  "conversation.delete": ["删除对话", "Delete conversation"],
  "conversation.delete.name": ["删除与{name}的对话", "Delete the conversation with {name}"],
  "conversation.delete.text": ["与{name}的这段对话会永久消失。", "This conversation with {name} will be gone for good."],
  "conversations.none": ["还没有对话", "No conversations yet"],
  "conversations.none.text": ["去见见角色们吧，说过的话会留在这里。", "Meet the characters; what you say stays here."],
  "history.title": ["与{name}的往次对话", "Conversations with {name}"],
  "role.deleted": ["已删除", "deleted"],
  "role.deleted.text": ["这个角色已被删除，对话只能回看。", "This character was deleted; the conversation can only be read."],

  "keys.title": ["API 密钥", "API keys"],
  "keys.lead": ["用 OpenAI 的接口，从你自己的程序里与角色对话、合成与识别语音。", "Talk with the characters, synthesise and transcribe speech from programs of your own, by OpenAI’s API."],
  "keys.use": ["怎么用", "How to use them"],
  "keys.use.text": ["在任何 OpenAI 客户端里把 base_url 改成上面这个地址、api_key 填密钥；model 写 role:角色编号，就是与那个角色对话。", "In any OpenAI client, set base_url to this address and api_key to a key. As model, role:<character id> talks with that character."],
  "keys.base": ["接口地址", "Base URL"],
  "keys.month": ["本月用量", "Used this month"],
  "keys.characters": ["合成字符", "Characters spoken"],
  "keys.seconds": ["识别秒数", "Seconds recognised"],
  "keys.tokens": ["模型令牌", "Model tokens"],
  "keys.yours": ["你的密钥", "Your keys"],
  "keys.none": ["还没有密钥", "No keys yet"],
  "keys.none.text": ["一个程序一把，丢了哪把就吊销哪把。", "Give each program its own; revoke the one that gets lost."],
  "keys.one": ["密钥", "Key"],
  "keys.create": ["新建密钥", "New key"],
  "keys.edit": ["修改密钥", "Change key"],
  "keys.edit.name": ["修改密钥{name}", "Change the key {name}"],
  "keys.name": ["名称", "Name"],
  "keys.name.example": ["如：家里的音箱", "The speaker at home"],
  "keys.name.missing": ["请写个名称，日后好认", "Give it a name to know it by"],
  "keys.expires": ["有效期", "Expires"],
  "keys.expires.never": ["永不到期", "Never"],
  "keys.expires.days": ["{count} 天后", "In {count} days"],
  "keys.limits": ["限额（选填）", "Limits (optional)"],
  "keys.limits.hint": ["只约束这把密钥；账号自己的限额照旧。", "They bound this key alone, within what your account may use."],
  "keys.limit.whole": ["请填写正整数，或留空", "Enter a whole number above 0, or nothing"],
  "keys.unlimited": ["不限", "No limit"],
  "keys.requests_per_minute": ["每分钟请求数", "Requests a minute"],
  "keys.monthly_characters": ["每月合成字符", "Characters spoken a month"],
  "keys.monthly_seconds": ["每月识别秒数", "Seconds recognised a month"],
  "keys.monthly_tokens": ["每月模型令牌", "Model tokens a month"],
  "keys.made": ["密钥已创建", "Your new key"],
  "keys.made.text": ["这是“{name}”。请现在就抄走：关掉这里，谁也看不到它了。", "This is “{name}”. Copy it now: once this is closed, nobody can see it again."],
  "keys.kept": ["我已保存", "I have kept it"],
  "keys.since": ["{when}创建", "Made {when}"],
  "keys.used": ["上次使用：{when}", "Last used: {when}"],
  "keys.used.never": ["还没用过", "Never used"],
  "keys.until": ["{when}到期", "Until {when}"],
  "keys.expired": ["已到期", "expired"],
  "keys.revoke": ["吊销密钥", "Revoke key"],
  "keys.revoke.yes": ["吊销", "Revoke"],
  "keys.revoke.name": ["吊销密钥{name}", "Revoke the key {name}"],
  "keys.revoke.text": ["用“{name}”的程序会立刻连不上，不能恢复。", "Programs with “{name}” stop working at once. This cannot be undone."],
  "keys.revoked": ["密钥已吊销", "Key revoked"],

  "form.title": ["写一位角色", "Write a character"],
  "form.lead": ["五项必填，其余随意；写得越具体，越像一个人。", "Five things are needed. The more precise the rest, the more alive the character."],
  "form.edit": ["编辑角色", "Edit character"],
  "form.edit.name": ["编辑{name}", "Edit {name}"],
  "form.create": ["创建并开始聊", "Create and talk"],
  "form.save": ["保存", "Save"],
  "form.saved": ["已保存", "Saved"],
  "form.delete": ["删除角色", "Delete character"],
  "form.delete.text": ["{name}将从梨园消失。已有的对话仍可回看。", "{name} will leave. Past conversations can still be read."],
  "form.deleted": ["角色已删除", "Character deleted"],
  "form.foreign": ["这不是你的角色", "Not your character"],
  "form.foreign.text": ["只有作者能修改它。", "Only its author can change it."],
  "form.optional": ["选填", "optional"],
  "form.part.who": ["人物", "Who"],
  "form.part.voice": ["声音", "Voice"],
  "form.part.play": ["戏文", "The play"],
  "form.name": ["名称", "Name"],
  "form.name.example": ["如：沈三白", "Ada Wren"],
  "form.name.short": ["名称至少 2 个字符", "The name needs at least 2 characters"],
  "form.tagline": ["一句话介绍", "Tagline"],
  "form.tagline.example": ["如：苏州城里最会过小日子的人", "The best clock-mender of the north quay"],
  "form.description": ["描述", "Description"],
  "form.description.hint": ["身份、来历、说话的规矩，至少 10 个字符。", "Who they are, where they come from, how they speak; at least 10 characters."],
  "form.description.example": ["沈三白，清代苏州文人，爱花成癖……", "Ada mends clocks on the north quay and never hurries…"],
  "form.description.short": ["描述至少 10 个字符", "The description needs at least 10 characters"],
  "form.gender": ["性别", "Gender"],
  "gender.男": ["男", "Male"],
  "gender.女": ["女", "Female"],
  "gender.其他": ["其他", "Other"],
  "gender.未知": ["未知", "Unknown"],
  "form.age": ["年龄", "Age"],
  "form.age.missing": ["请填写年龄（整数）", "Enter an age (a whole number)"],
  "form.age.range": ["年龄须在 0 到 120 之间", "The age lies between 0 and 120"],
  "form.language": ["语言", "Language"],
  "form.voice_type": ["声音类型", "Voice"],
  "form.voice.missing": ["请选一副嗓子", "Choose a voice"],
  "form.personality": ["性格", "Personality"],
  "form.personality.hint": ["脾气、喜好、怕什么。", "Temper, likes, fears."],
  "form.personality.example": ["温和、好奇，爱较真……", "Patient, curious, a little vain…"],
  "form.scenario": ["场景", "Scenario"],
  "form.scenario.hint": ["此刻在哪儿，正发生什么。", "Where you meet, and what is going on."],
  "form.scenario.example": ["沧浪亭边，初夏傍晚……", "Her workshop, ten minutes before midnight…"],
  "form.greeting": ["开场白", "Greeting"],
  "form.greeting.hint": ["见面的第一句。（括号里）写动作神态。", "The first words. Put what they do in *asterisks*."],
  "form.greeting.example": ["（放下花剪）你来了。", "*She looks up.* You are early."],
  "form.example_dialogue": ["对话示例", "Example dialogue"],
  "form.example_dialogue.hint": ["每行以 {{user}}: 或 {{char}}: 开头，段落之间用 <START>。", "Lines begin with {{user}}: or {{char}}:, parts with <START>."],
  "form.example_dialogue.example": ["{{user}}: 今天做什么？\n{{char}}: 等花开。", "{{user}}: What time is it?\n{{char}}: Which clock?"],
  "voice.all": ["全部", "All"],
  "voice.chinese": ["中文", "Chinese"],
  "voice.english": ["英文", "English"],
  "voice.bilingual": ["双语", "Bilingual"],
  "voice.filter": ["按分类筛选声音", "Filter voices by kind"],
  "voice.search": ["搜索声音", "Search voices"],
  "voice.none": ["没有相符的声音", "No voice matches"],
  "voice.kept": ["现在的声音", "The present voice"],
  "voice.instead": ["原来的声音不在，由“{name}”代说", "The chosen voice is away; “{name}” speaks for it"],
  "voice.instead.choose": ["原来的声音不在，现由“{name}”代说。可以留着等它回来，也可以另选一副。", "The chosen voice is away and “{name}” speaks for it. Keep it for its return, or choose another."],
  "voice.play": ["试听{name}", "Hear {name}"],
  "voice.stop": ["停止试听", "Stop"],
  "voice.failed": ["试听暂时放不出来", "The sample cannot be played just now"],

  "stage.label": ["{name}的戏台", "{name} on stage"],
  "state.listening": ["侧耳细听", "listening"],
  "state.thinking": ["沉吟片刻", "thinking"],
  "state.speaking": ["正说着", "speaking"],
  about: ["关于{name}", "About {name}"],
  "about.age": ["{age} 岁", "aged {age}"],
  "log.label": ["与{name}的对话", "Conversation with {name}"],
  "log.older": ["更早的话", "Earlier"],
  "log.newest": ["回到最新", "To the newest"],
  "message.uploading": ["正在上传语音", "Uploading"],
  "message.sending": ["等待送达", "Sending"],
  "message.failed": ["没有成功", "It did not work"],
  "message.cancelled": ["已停下", "Stopped"],
  "message.edit": ["改写", "Reword"],
  "message.edit.hint": ["听错了？改成文字再说一遍", "Misheard? Say it again in writing"],

  "composer.placeholder": ["对{name}说…", "Say something to {name}…"],
  "mode.label": ["回复方式", "How to answer"],
  "mode.short": ["回复", "Answer"],
  "mode.0": ["文字", "text"],
  "mode.1": ["语音", "voice"],
  "mode.2": ["随缘", "either"],
  "autoplay.on": ["自动播放语音：开", "Play speech at once: on"],
  "autoplay.off": ["自动播放语音：关", "Play speech at once: off"],
  record: ["录语音（按住，或点一下）", "Record (hold, or tap)"],
  "record.on": ["正在录音", "Recording"],
  "record.send": ["发送语音", "Send recording"],
  "record.cancel": ["放弃录音", "Discard recording"],
  "record.cancelled": ["已放弃录音", "Recording discarded"],
  "record.short": ["太短了，多说一点", "Too short, say a little more"],
  "record.hint.tap": ["说完点发送", "Send when done"],
  "record.hint.held": ["松开发送，上滑放弃", "Let go to send, slide up to discard"],
  "record.hint.away": ["松开即放弃", "Let go to discard"],
  "player.play": ["播放", "Play"],
  "player.pause": ["暂停", "Pause"],
  "player.of": ["播放{name}的语音", "Play {name}'s message"],
  "player.position": ["播放位置", "Position"],
  "player.failed": ["这段语音放不出来", "This recording cannot be played"],
  "player.blocked": ["浏览器拦下了自动播放，请点播放键收听。", "The browser blocked the sound. Press play to listen."],
  "mic.insecure": ["浏览器只在 https 或 localhost 下允许使用麦克风。请换用安全地址打开本页。", "Browsers allow the microphone on https or localhost only. Open this page at a secure address."],
  "mic.denied": ["麦克风被拒绝了。请在浏览器地址栏旁的站点设置里允许麦克风，再试一次。", "The microphone was refused. Allow it in the site settings beside the address bar, then try again."],
  "mic.none": ["没有找到麦克风。请接上一个再试。", "No microphone was found. Connect one and try again."],
  "mic.busy": ["麦克风正被别的程序占用。关掉它再试。", "Another program is using the microphone. Close it and try again."],
  "mic.failed": ["麦克风打不开：{reason}", "The microphone cannot be opened: {reason}"],
  "line.reconnecting": ["连接断了，正在重连；没送到的话会补上。", "Connection lost, trying again. Unsent words are kept."],
  "line.offline": ["你现在离线。话先存着，联网就送出。", "You are offline. Your words are kept and sent once you are back."],
  "line.now": ["立即重连", "Reconnect now"],

  "call.start": ["开始通话", "Start call"],
  "call.with": ["与{name}通话", "Call {name}"],
  "call.captions": ["与{name}通话的字幕", "Captions of the call with {name}"],
  "call.controls": ["通话控制", "Call controls"],
  "call.hint": ["像打电话一样说话。想插嘴，开口就行，点画像也能打断。", "Talk as on the telephone. To interrupt, just speak, or tap the picture."],
  "call.hint.byhand": ["按住下面的按钮说，松开就轮到对方。再按住，随时打断。", "Hold the button below while you speak, let go for the answer. Hold again to interrupt."],
  "call.is.ready": ["准备好了就开始；{name}会听你说。", "Start when you are ready. {name} will listen."],
  "call.is.opening": ["正在接通…", "Connecting…"],
  "call.is.unreached": ["还没接通，正在再试…", "No connection yet, trying again…"],
  "call.is.lost": ["线断了，正在重新接上…", "The line broke, connecting again…"],
  "call.is.renewing": ["这一场满了时限，正在续上…", "The time limit is reached, going on…"],
  "call.is.offline": ["你现在离线，联网后自动接上。", "You are offline. The call goes on once you are back."],
  "call.is.listening": ["请说，{name}在听", "Speak, {name} is listening"],
  "call.is.thinking": ["{name}在想", "{name} is thinking"],
  "call.is.speaking": ["{name}在说", "{name} is speaking"],
  "call.is.deaf": ["听不到你：麦克风没有声音", "You are not heard: the microphone is silent"],
  "call.is.held": ["按住下面的按钮说话", "Hold the button below to speak"],
  "call.is.muted": ["麦克风已静音", "The microphone is muted"],
  "call.is.over": ["通话结束", "The call is over"],
  "call.microphone.asked": ["请允许使用麦克风", "Please allow the microphone"],
  "call.ended": ["通话已结束", "Call ended"],
  "call.end": ["挂断", "Hang up"],
  "call.end.short": ["挂断", "Hang up"],
  "call.mute": ["静音", "Mute"],
  "call.mute.short": ["静音", "Mute"],
  "call.byhand": ["按住说话模式", "Push to talk"],
  "call.byhand.short": ["按住说", "Push"],
  "call.hold": ["按住说话", "Hold to talk"],
  "call.interrupt": ["打断", "Interrupt"],
  "call.interrupt.short": ["打断", "Interrupt"],
  "call.reopen": ["重新打开麦克风", "Open the microphone again"],
  "call.understudy": ["现在由离线替身应答，话会比较简单。", "An offline understudy answers, in simple words."],
  "call.back": ["线断了一下，又接上了。", "The line broke for a moment and is back."],
  "call.broken": ["线断了一下，又接上了；刚才没说完的，请再说一遍。", "The line broke in mid-sentence and is back. Please say it again."],
  "call.renewed": ["这一场满了时限，已经接着续上。", "The session had reached its time limit; a new one goes on."],
  "call.expired": ["这一场满了时限，断在话没说完的时候，已经续上；刚才没说完的，请再说一遍。", "The session reached its time limit in mid-sentence; a new one goes on. Please say it again."],
  "call.short": ["太短了，按住多说一点。", "Too short. Hold the button while you speak."],
  "call.unheard": ["这句没听清，请再说一遍。", "That was not understood. Please say it again."],
  "call.failed": ["这句没能答上来，请再说一遍。", "There was no answer to that. Please say it again."],
  "call.declined": ["这句对方不便回答，换个说法试试。", "That one is not answered. Try saying it differently."],
  "call.busy": ["太快了，歇一会儿再说。", "That was too much at once. Wait a moment, then go on."],
  "call.expelled": ["登录已失效，请重新登录。", "You are not signed in any more. Please sign in again."],
  "call.refused": ["服务器出了点问题，这一步没办成。", "Something went wrong at the server, and that was not done."],
  "call.microphone": ["麦克风断开了。", "The microphone is gone."],
  "call.spent": ["你的用量到了上限，暂时不能继续。", "Your quota is used up for now."],
  "call.full": ["服务器现在不接新的通话：太忙，或者你的用量已满。会自动再试。", "The server takes no new call just now: it is busy, or your quota used up. It keeps trying."],
  "call.blocked": ["通话接不通：也许别处还有一通没挂断，或者网络、代理拦住了连接。会自动再试。", "The call does not get through: another one may still be open, or the network or a proxy blocks it. It keeps trying."],
  "call.closed": ["这台服务器没有开放通话。", "Calls are not offered on this server."],
  "call.missing": ["现在不能通话。", "Calls are not possible just now."],
  "device.title": ["麦克风与扬声器", "Microphone and loudspeaker"],
  "device.title.short": ["设备", "Devices"],
  "device.microphone": ["麦克风", "Microphone"],
  "device.loudspeaker": ["扬声器", "Loudspeaker"],
  "device.system": ["跟随系统", "As the system has it"],
  "device.nameless": ["设备 {number}", "Device {number}"],
  "device.failed": ["这个设备用不了，换回系统的选择。", "That device cannot be used; back to the system’s choice."],

  "health.title": ["此刻的状态", "How things stand"],
  "health.understudy": ["离线替身", "Understudy"],
  "health.understudy.text": ["没有配置语言模型，回复由内置的替身按角色的台词与设定生成，会比较简单。管理员设置 LLM_BASE_URL 后即可换上真正的模型。", "No language model is configured. A built-in understudy answers from each character's lines and lore, and stays simple. The operator sets LLM_BASE_URL to bring in a real model."],
  "health.voiceless": ["语音不全", "Voice limited"],
  "health.silent": ["没有语音。", "There is no speech."],
  "health.deaf": ["听不了语音。", "Speech cannot be understood."],
  "health.mute": ["发不出语音。", "Speech cannot be spoken."],
  "health.reason.none": ["服务器没有说明原因。", "The server gave no reason."],
};

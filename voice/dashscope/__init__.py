"""DashScope, the model service of Alibaba Cloud: a client of its speech, without Django."""

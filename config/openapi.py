"""What drf-spectacular says of the REST interface as a whole."""

from typing import Any

from django.utils.translation import gettext_lazy as _


def openapi_settings(version: str) -> dict[str, Any]:
    """``SPECTACULAR_SETTINGS``, in the reader's language."""
    return {
        "TITLE": "梨园 Liyuan",
        "DESCRIPTION": _(
            "与角色对谈，文字或语音。除上传语音外，回答都是 `{code, message, data}`，"
            "`code` 即 HTTP 状态。令牌由登录取得。[WebSocket 接口](/api/docs/sockets)"
        ),
        "VERSION": version,
        "OAS_VERSION": "3.1.0",
        "TAGS": [
            {"name": "accounts", "description": _("注册、登录、令牌")},
            {"name": "roles", "description": _("角色")},
            {"name": "voice", "description": _("声音")},
            {"name": "uploads", "description": _("语音文件")},
            {"name": "chat", "description": _("对话与消息")},
            {"name": "config", "description": _("运行状态")},
        ],
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "config.docs.add_health",
        ],
    }

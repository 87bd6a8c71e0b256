"""The names of the page's controls, in both languages: the words of the contract."""

from __future__ import annotations

_NAMES = {
    "add": ("Add", "Добавить"),
    "enable": ("Enable", "Включить"),
    "disable": ("Disable", "Выключить"),
    "search": ("Search", "Поиск"),
    "delete": ("Delete", "Удалить"),
    "edit": ("Edit", "Редактировать"),
    "clear": ("Clear", "Очистить"),
    "collect": ("Collect", "Собрать"),
    "title": ("Title", "Название"),
    "server": ("Server", "Сервер"),
    "server type": ("Server type", "Тип сервера"),
    "ssl": ("Use SSL", "Использовать SSL"),
    "login": ("Login", "Логин"),
    "password": ("Password", "Пароль"),
    "detect": ("Detect the recipient", "Автоматически определять получателя"),
    "default mailbox": ("Default mailbox", "Ящик по умолчанию"),
    "one mailbox": ("One mailbox", "Один ящик"),
    "forward to": ("Forward to", "Пересылать на"),
    "mode": ("Collect", "Собирать"),
    "interval": ("Interval", "Интервал"),
    "limit": ("Collect at most messages per session", "Собирать не более писем за сессию"),
    "save": ("Save", "Сохранить"),
    "check": ("Check", "Проверить"),
    "more": ("More", "Ещё"),
    "token": ("Token", "Токен"),
    "log in": ("Log in", "Войти"),
    "log out": ("Log out", "Выйти"),
    "disabled": ("disabled", "выключен"),
}
WORDS = {
    language: {word: names[at] for word, names in _NAMES.items()}
    for at, language in enumerate(("en", "ru"))
}
MODES = {
    "en": [
        "all messages, delete them from the server",
        "only messages not collected before, delete them from the server",
        "only messages not collected before, leave them on the server",
    ],
    "ru": [
        "все сообщения, удалять сообщения с сервера",
        "только не собранные ранее сообщения, удалять сообщения с сервера",
        "только не собранные ранее сообщения, оставлять сообщения на сервере",
    ],
}

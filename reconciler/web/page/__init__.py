"""The web page: views that render templates over the control service. It works without JavaScript;
`static/page.js` makes it live."""

// Loaded into Omniboard before its own code, which listens on all interfaces and takes its login
// from the command line, where every user of the machine can read it.
"use strict";
const net = require("node:net");
const path = require("node:path");

const login = process.env.TMD_OMNIBOARD_LOGIN;
const script = path.basename(process.argv[1] || "");
if (login && (script === "omniboard" || script === "start.js")) {
  delete process.env.TMD_OMNIBOARD_LOGIN;
  process.argv.push("-u", login);
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (port, ...rest) {
    const options = typeof port === "object" ? { ...port, host: "127.0.0.1" } : { port: Number(port), host: "127.0.0.1" };
    return listen.call(this, options, ...rest.filter(each => typeof each === "function"));
  };
}

// A device that is not ours: adbkit's bridge to the device SERIAL of an adb server. It asks for a signed token.
//   node bridge.js <folder with node_modules> <adb server's port> <serial> <yes|no: accept keys>
// Prints its port, and "key accepted" or "key refused"; ends with its standard input.
const path = require('path');

const [folder, serverPort, serial, accepts] = process.argv.slice(2);
const { Adb } = require(path.join(folder, 'node_modules', '@devicefarmer', 'adbkit'));

const client = Adb.createClient({ host: '127.0.0.1', port: Number(serverPort) });
const bridge = client.createTcpUsbBridge(serial, {
  auth: async () => {
    console.log(accepts === 'yes' ? 'key accepted' : 'key refused');
    if (accepts !== 'yes') throw new Error('refused');
  },
});
bridge.on('error', () => {}); // a client that leaves is no error of the bridge
bridge.on('connection', (one) => one.on('error', () => {}));
bridge.on('listening', () => console.log(bridge.server.address().port));
bridge.listen(0, '127.0.0.1');
process.stdin.on('end', () => process.exit(0)).resume();

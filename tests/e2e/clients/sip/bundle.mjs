// Puts each client into one script for a page: a global of its name. Usage: node bundle.mjs DIRECTORY
import { buildSync } from 'esbuild';

const clients = { JsSIP: 'jssip', SIP: 'sip.js', Aculab4: '@aculab-com/aculab-webrtc', Aculab3: 'aculab-webrtc' };
for (const [name, module] of Object.entries(clients)) {
  buildSync({
    stdin: { contents: `import * as all from '${module}'; globalThis.${name} = all.default?.UA ? all.default : all;`, resolveDir: '.' },
    bundle: true, format: 'iife', platform: 'browser', mainFields: ['browser', 'module', 'main'], logLevel: 'error',
    define: { global: 'globalThis', 'process.env.NODE_DEBUG': 'undefined' },
    outfile: `${process.argv[2]}/${name}.js`,
  });
}

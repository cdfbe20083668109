import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder `web` of the package, from the sources and from `dist` alike; undefined: there is no page in it. */
export function webFolder(from: string = __dirname): string | undefined {
  for (let folder = from; dirname(folder) !== folder; folder = dirname(folder)) {
    // `dist` holds no package.json: the first folder upwards that does is the package.
    if (!existsSync(join(folder, 'package.json'))) continue;
    const web = join(folder, 'web');
    return existsSync(join(web, 'index.html')) ? web : undefined;
  }
  return undefined;
}

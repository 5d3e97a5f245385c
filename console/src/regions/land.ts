/**
 * Where there is land, every four degrees: a row per latitude from 78° north to 58° south, each a number of 90 bits to
 * base 36 whose first bit is the longitude 178° west. Made from Natural Earth's land at 1:110 million (public domain).
 */
const ROWS = [
  "s28ubdept9gfls",
  "99xuopa4si1xu68",
  "9ft62bnodcl00gezk",
  "4bjnxxx85b9q6j39xb",
  "9pz7cnzg5p008dnge",
  "2qdwi1mdi1wnda9c",
  "1d7js84t0nbrls0w",
  "oluvey3hljt71fk",
  "caxfph7z8jgu6f4",
  "cawy6tv4yv60934",
  "cau12s63d58cef4",
  "65d2gpvn3rzwphc",
  "1ipvr7use51t7gg",
  "o81jfy58t9vmdc",
  "ahmiybe60blczk",
  "cznhl87lx6a7sw",
  "1apstvw5uylji8",
  "3emvbg52vjjeo",
  "3rrska6m1aebk",
  "7q3y412gywao0",
  "7rr2mvnpph0xs",
  "7s5uq18k9m6io",
  "7s5uq18k9gjnk",
  "3vvjbfnxr84xs",
  "1xsuawr1h1q0x",
  "1xsua4otneolk",
  "1wza0oaqo2a2o",
  "1vvv03rbfjs00",
  "1vvuzkgsjvszk",
  "1tp0y8de4huyp",
  "3emprwfed6ww2",
  "2x41irsmllclg",
  "2x41irsmllclc",
  "z1ci99jj7474",
  "0",
];

export const COLUMNS = 90;
export const NORTH = 80;
export const STEP = 4;

/** Points of land, in columns and rows of the grid. */
export function landPoints(): { x: number; y: number }[] {
  return ROWS.flatMap((text, y) => {
    let bits = 0n;
    for (const digit of text) bits = bits * 36n + BigInt(parseInt(digit, 36));
    const points: { x: number; y: number }[] = [];
    for (let x = 0; x < COLUMNS; x++) if ((bits >> BigInt(COLUMNS - 1 - x)) & 1n) points.push({ x, y });
    return points;
  });
}

export const ROW_COUNT = ROWS.length;

/** Where a place lies on the grid. */
export function project(latitude: number, longitude: number): { x: number; y: number } {
  const x = (longitude + 180) / STEP - 0.5;
  const y = (NORTH - latitude) / STEP - 0.5;
  return { x: Math.min(Math.max(x, 0), COLUMNS - 1), y: Math.min(Math.max(y, 0), ROW_COUNT - 1) };
}

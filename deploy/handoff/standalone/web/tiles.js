/**
 * Cut a picture into tiles of the network's size, and join what it makes of them.
 *
 * A network sees nothing beyond the edge of a tile, so the outer pixels of each, its margin, are
 * thrown away where it meets another, and what overlaps beyond that is mixed. A picture smaller
 * than a tile is continued by reflection. This is what `esrdeploy upscale --own-tiles` does; sizes
 * and margins come from network.json.
 */

const MOST = 255;

/** Where tiles lie along one side of a picture. */
export class Side {
  /**
   * @param {number} lengthPx of the picture
   * @param {number} tilePx of a tile
   * @param {number} marginPx of a tile, thrown away where it meets another
   */
  constructor(lengthPx, tilePx, marginPx) {
    this.ownPx = lengthPx;
    this.lengthPx = Math.max(lengthPx, tilePx);
    this.tilePx = tilePx;
    this.marginPx = marginPx;
    const step = tilePx - 2 * marginPx;
    const count = Math.max(1, Math.ceil((this.lengthPx - 2 * marginPx) / step));
    const spare = this.lengthPx - tilePx;
    /** First pixel of each tile, evenly spread and flush with both ends. */
    this.starts = Array.from({length: count}, (_, index) =>
      rounded((index * spare) / Math.max(1, count - 1)),
    );
  }

  /** What each tile counts where it overlaps the one before it, from 0 to 1. */
  shares(scale) {
    return this.starts.map((start, index) => {
      const overlap = index === 0 ? 0 : this.starts[index - 1] + this.tilePx - start;
      const mixed = overlap - 2 * this.marginPx;
      return Float32Array.from({length: overlap * scale}, (_, pixel) => {
        const place = (pixel + 0.5) / scale - this.marginPx;
        return mixed > 0 ? Math.min(1, Math.max(0, place / mixed)) : Number(place > 0);
      });
    });
  }

  /** The picture's own pixel that stands at a place, behind its end by reflection. */
  reflected(place) {
    const period = 2 * (this.ownPx - 1);
    const within = period === 0 ? 0 : place % period;
    return within < this.ownPx ? within : period - within;
  }
}

/** Round to the nearest integer, halves to the even one. */
function rounded(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/**
 * Return the colour of a picture, and its alpha where it has one, as layers that pass the network
 * apart. A picture whose channels are equal everywhere is gray and stays that; a network of one
 * channel gets the luma (BT.601). A layer that is the same everywhere needs no network.
 *
 * @param {Uint8ClampedArray} rgba samples of the picture, row by row
 * @param {number} channels of the network: 3, or 1
 * @returns {{name: string, planes: Uint8Array[], same: number | null}[]}
 */
export function layersOf(rgba, channels) {
  const count = rgba.length / 4;
  const [red, green, blue, alpha] = [0, 1, 2, 3].map((channel) => {
    const plane = new Uint8Array(count);
    for (let pixel = 0; pixel < count; pixel += 1) plane[pixel] = rgba[4 * pixel + channel];
    return plane;
  });
  const gray = red.every((value, pixel) => value === green[pixel] && value === blue[pixel]);
  let colour = gray ? [red] : [red, green, blue];
  if (!gray && channels === 1) {
    colour = [red.map((value, pixel) => luma(value, green[pixel], blue[pixel]))];
  }
  const layers = [layer("colour", colour)];
  return alpha.every((value) => value === MOST) ? layers : [...layers, layer("alpha", [alpha])];
}

function luma(red, green, blue) {
  return (4899 * red + 9617 * green + 1868 * blue + 8192) >> 14;
}

function layer(name, planes) {
  const same = planes.length === 1 && planes[0].every((value) => value === planes[0][0]);
  return {name, planes, same: same ? planes[0][0] : null};
}

/**
 * Give pixels without any opacity, whose colour nobody stored, the nearest colour of their row, so
 * that the network sees no edge where the picture has none.
 */
export function fillTransparent(rgba, width) {
  for (let first = 0; first < rgba.length; first += 4 * width) {
    const seen = [];
    for (let pixel = 0; pixel < width; pixel += 1) {
      if (rgba[first + 4 * pixel + 3] > 0) seen.push(pixel);
    }
    for (let pixel = 0, next = 0; seen.length > 0 && pixel < width; pixel += 1) {
      while (next + 1 < seen.length && Math.abs(seen[next + 1] - pixel) <= Math.abs(seen[next] - pixel)) {
        next += 1;
      }
      const from = first + 4 * seen[next];
      if (rgba[first + 4 * pixel + 3] === 0) {
        rgba.set(rgba.subarray(from, from + 3), first + 4 * pixel);
      }
    }
  }
}

/** Return a tile of a layer as the network takes it: [channels, height, width] in [0, 1]. */
export function networkInput(given, down, across, row, column, channels) {
  const input = new Float32Array(channels * down.tilePx * across.tilePx);
  const columns = Array.from({length: across.tilePx}, (_, x) => across.reflected(column + x));
  let place = 0;
  for (let channel = 0; channel < channels; channel += 1) {
    const plane = given.planes[channel % given.planes.length];
    for (let y = 0; y < down.tilePx; y += 1) {
      const line = down.reflected(row + y) * across.ownPx;
      for (const x of columns) {
        input[place] = plane[line + x] / MOST;
        place += 1;
      }
    }
  }
  return input;
}

/** Mix two float32 values as float32 arithmetic does; the second counts `share`. */
function mixed(before, drawn, share) {
  return before + Math.fround(Math.fround(drawn - before) * share);
}

/** Joins the enlarged tiles of one layer, a row of them after the other. */
export class Joiner {
  constructor(down, across, scale, channels) {
    Object.assign(this, {down, across, scale, channels});
    this.height = down.tilePx * scale;
    this.width = across.lengthPx * scale;
    this.sharesDown = down.shares(scale);
    this.sharesAcross = across.shares(scale);
    this.above = null;
    this.row = 0;
  }

  /** Begin a row of tiles. */
  begin() {
    this.line = new Float32Array(this.channels * this.height * this.width);
  }

  /** Take the next tile of the row, [channels, height, width]. */
  add(number, drawn) {
    const tileWidth = this.across.tilePx * this.scale;
    const left = this.across.starts[number] * this.scale;
    const share = this.sharesAcross[number];
    for (let y = 0; y < this.channels * this.height; y += 1) {
      const tile = drawn.subarray(y * tileWidth, (y + 1) * tileWidth);
      const place = y * this.width + left;
      for (let x = 0; x < share.length; x += 1) {
        const before = this.line[place + x];
        tile[x] = mixed(before, tile[x], share[x]);
      }
      this.line.set(tile, place);
    }
  }

  /** End the row and return what of the picture is finished: [channels, rows, width]. */
  end() {
    const {down, scale, row, channels, height, width} = this;
    const next = down.starts[row + 1];
    const kept = next === undefined ? height : (next - down.starts[row]) * scale;
    const finished = new Float32Array(channels * kept * width);
    const below = new Float32Array(channels * (height - kept) * width);
    for (let channel = 0; channel < channels; channel += 1) {
      const plane = this.line.subarray(channel * height * width, (channel + 1) * height * width);
      this.sharesDown[row].forEach((share, y) => {
        const over = this.above.subarray((channel * this.sharesDown[row].length + y) * width);
        for (let x = 0; x < width; x += 1) {
          const place = y * width + x;
          plane[place] = mixed(over[x], plane[place], share);
        }
      });
      finished.set(plane.subarray(0, kept * width), channel * kept * width);
      below.set(plane.subarray(kept * width), channel * (height - kept) * width);
    }
    this.above = below;
    this.row += 1;
    return {planes: finished, rows: kept, width, channels};
  }
}

/**
 * Write what is finished of a layer into the samples of as many rows of a picture: clipped to
 * [0, 1], times 255, rounded half to even, which is what a Uint8ClampedArray does.
 */
export function writeLayer(given, {planes, rows, width, channels}, rgba, rgbaWidth) {
  const one = given.planes.length === 1;
  const targets = given.name === "alpha" ? [3] : [0, 1, 2];
  const size = rows * width;
  for (let pixel = 0; pixel < rgba.length / 4; pixel += 1) {
    const x = pixel % rgbaWidth;
    const place = ((pixel - x) / rgbaWidth) * width + x;
    let mean = 0;
    for (let channel = 0; one && channel < channels; channel += 1) {
      mean += planes[channel * size + place] / channels;
    }
    for (const target of targets) {
      const value = one ? mean : planes[target * size + place];
      rgba[4 * pixel + target] = Math.fround(value * MOST);
    }
  }
}

"""What one writes first: the whole GeoJSON inside a folium map, a style function, a key.

Kind to it: the file is parsed once, nothing else is on the page, and Leaflet comes from this
machine, cached by the browser, instead of from the networks folium names.
"""

import json
import math
import sys
from pathlib import Path

import folium
import shapely
import streamlit as st
from streamlit_folium import st_folium

COLOURS = ["#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494"]
PAYLOADS = Path(sys.argv[1])
ASSETS = sys.argv[2]

folium.Map.default_js = [("leaflet", f"{ASSETS}/leaflet/leaflet.js")]
folium.Map.default_css = [("leaflet", f"{ASSETS}/leaflet/leaflet.css")]


@st.cache_resource
def features(layer: str, month: str) -> dict:
    return json.loads((PAYLOADS / f"{layer}.{month}.geojson").read_text(encoding="utf-8"))


@st.cache_resource
def position(layer: str, month: str) -> tuple[float, float, int]:
    """Latitude, longitude and zoom at which all polygons fit the map's 520 pixels."""
    shapes = [shapely.geometry.shape(f["geometry"]) for f in features(layer, month)["features"]]
    west, south, east, north = shapely.total_bounds(shapes)
    zoom = math.floor(math.log2(360 * 520 / 256 / ((north - south) * 1.15)))
    return (south + north) / 2, (west + east) / 2, zoom


def style(feature: dict) -> dict:
    code = feature["properties"]["c"]
    return {
        "fillColor": COLOURS[code] if code >= 0 else "#f4f5f6",
        "fillOpacity": 0.95,
        "color": "#ffffff",
        "weight": 1,
    }


st.set_page_config(layout="wide")
month = st.query_params["month"]
layers = sorted({path.name.split(".")[0] for path in PAYLOADS.glob("*.geojson")})
with st.sidebar:
    layer = st.radio("layer", layers, index=layers.index(st.query_params["layer"]))

lat, lon, zoom = position(layers[0], month)
shown = folium.Map(location=(lat, lon), zoom_start=zoom, tiles=None)
folium.GeoJson(features(layer, month), style_function=style).add_to(shown)
st_folium(shown, key="map", height=520, use_container_width=True)

"""The web shop: WebShop's pages, rules and reward over a catalogue that starts in a second.

After Yao, Chen, Yang and Narasimhan, "WebShop: Towards Scalable Real-World Web Interaction with Grounded Language
Agents", 2022.
"""

from turnwise.envs.webshop.env import ShopData, WebShopConfig, WebShopEnv

__all__ = ["ShopData", "WebShopConfig", "WebShopEnv"]
